"""What an ELF program or library says that it needs: its interpreter, its libraries, and where to look for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from everykernel.errors import UsageError

MAGIC = b"\x7fELF"
_MACHINES = {"EM_X86_64": "x86_64", "EM_386": "i386"}  # by pyelftools' names: the architectures that guests have


@dataclass(frozen=True)
class Needs:
    """What one ELF file needs.

    Attributes:
        machine: our architecture's name, or pyelftools' name of another.
        bits: 32 or 64.
        interpreter: the dynamic loader that it names, "" for a static program or a library.
        libraries: the names of the libraries that it needs (DT_NEEDED), in order.
        rpath, runpath: folders to look in, as they stand there (DT_RPATH, DT_RUNPATH).
    """

    machine: str
    bits: int
    interpreter: str = ""
    libraries: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()

    @property
    def starts_alone(self) -> bool:
        """Whether nothing else is needed."""
        return not self.interpreter and not self.libraries


def is_elf(path: Path) -> bool:
    """Return whether a file begins like an ELF file; raise UsageError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(4) == MAGIC
    except OSError as e:
        raise UsageError(f"cannot be read: {(e.strerror or '').lower()}", where=str(path)) from e


def needs(path: Path) -> Needs:
    """Return what an ELF file needs; raise UsageError for one that is damaged."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            interpreter, libraries = "", []
            folders: dict[str, list[str]] = {"DT_RPATH": [], "DT_RUNPATH": []}
            for segment in elf.iter_segments():
                kind = segment["p_type"]
                if kind == "PT_INTERP":
                    interpreter = segment.get_interp_name()
                elif kind == "PT_DYNAMIC":
                    for tag in segment.iter_tags():
                        if tag.entry.d_tag == "DT_NEEDED":
                            libraries.append(tag.needed)
                        elif tag.entry.d_tag in folders:
                            text = tag.rpath if tag.entry.d_tag == "DT_RPATH" else tag.runpath
                            folders[tag.entry.d_tag] += [part for part in text.split(":") if part]
            machine = elf["e_machine"]
            return Needs(
                _MACHINES.get(machine, str(machine)),
                elf.elfclass,
                interpreter,
                tuple(libraries),
                tuple(folders["DT_RPATH"]),
                tuple(folders["DT_RUNPATH"]),
            )
    except OSError as e:
        raise UsageError(f"cannot be read: {(e.strerror or '').lower()}", where=str(path)) from e
    except (ELFError, ValueError, KeyError, AttributeError, TypeError, AssertionError, OverflowError) as e:
        raise UsageError(f"is a damaged ELF file: {e or type(e).__name__}", where=str(path)) from e
