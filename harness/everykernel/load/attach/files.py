"""Programs and libraries: where they are, and where a function begins in one.

This module travels to the guest: standard library and pyelftools only, Python 3.9.
"""

from __future__ import annotations

import fnmatch
import re
import struct
from typing import TYPE_CHECKING

from everykernel.load.attach.outcome import NotAttached
from everykernel.load.system.errnos import error_name

if TYPE_CHECKING:
    from everykernel.load.system.door import System


def find_file(system: System, name: str) -> str:
    """Return the path of a program, or of a library by its soname; raise NotAttached where there is none."""
    libraries = [*system.glob("/lib/*-linux-gnu*"), *system.glob("/usr/lib/*-linux-gnu*"), "/lib", "/usr/lib", "/lib64"]
    for folder in libraries if ".so" in name else system.programs():
        if system.is_file(f"{folder}/{name}"):
            return f"{folder}/{name}"
    raise NotAttached(f"{name}: there is no such program or library", code="attach-target-missing")


def symbol_offsets(system: System, path: str, symbol: str) -> list[int]:
    """Return where in an ELF file a function begins, or all functions that a pattern with ``*`` and ``?`` names.

    Raises NotAttached where there is none.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    exact = symbol.encode("utf-8", "surrogateescape") + b"\0"
    pattern = re.compile(fnmatch.translate(literal(symbol)).encode()) if is_pattern(symbol) else None
    try:
        with system.file(path) as file:
            elf = ELFFile(file)
            shape = ("<" if elf.little_endian else ">") + ("IBBHQQ" if elf.elfclass == 64 else "IIIBBH")
            for section in elf.iter_sections():
                if section["sh_type"] not in ("SHT_DYNSYM", "SHT_SYMTAB"):
                    continue
                found = []
                names = elf.get_section(section["sh_link"]).data()
                for entry in struct.iter_unpack(shape, section.data()):
                    name, value = entry[0], entry[4] if elf.elfclass == 64 else entry[1]
                    info, index = (entry[1], entry[3]) if elf.elfclass == 64 else (entry[3], entry[5])
                    if not index or info & 15 not in (2, 10):
                        continue
                    if pattern is None and names[name : name + len(exact)] == exact:
                        return [_in_file(elf, value)]
                    if pattern is not None and pattern.match(names, name, names.find(b"\0", name)):
                        found.append(_in_file(elf, value))
                if found:  # another table holds them again
                    return found
    except OSError as e:
        raise NotAttached(f"{path}: {error_name(e.errno)}", code="attach-target-missing", number=e.errno or 0) from e
    except (ELFError, struct.error, ValueError, AttributeError) as e:
        raise NotAttached(f"{path}: is no sound ELF file: {e}", code="attach-target-missing") from e
    raise NotAttached(f"{path}: has no function {symbol}", code="attach-target-missing")


def is_pattern(text: str) -> bool:
    """Whether a name is a pattern, with ``*`` or ``?``."""
    return "*" in text or "?" in text


def literal(pattern: str) -> str:
    """Return a pattern in which only ``*`` and ``?`` mean more than themselves, as for libbpf's glob_match."""
    return pattern.replace("[", "[[]")


def _in_file(elf: object, value: int) -> int:
    """Return the offset in the file of an address in a loaded segment."""
    for segment in elf.iter_segments("PT_LOAD"):  # type: ignore[attr-defined]
        if segment["p_vaddr"] <= value < segment["p_vaddr"] + segment["p_filesz"]:
            return int(value - segment["p_vaddr"] + segment["p_offset"])
    return value
