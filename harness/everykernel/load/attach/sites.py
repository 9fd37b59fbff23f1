"""USDT: where a program or library has a probe of a name.

The rules are libbpf 1.7's (usdt.c: collect_usdt_targets, parse_usdt_note); the notes' form is that of SystemTap
(https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation).

This module travels to the guest: standard library and pyelftools only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from everykernel.load.attach.outcome import NotAttached
from everykernel.load.system.errnos import error_name
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everykernel.load.system.door import System

_NOTES, _BASE = ".note.stapsdt", ".stapsdt.base"
_OWNER, _TYPE = b"stapsdt", 3
_EXECUTABLE = 1  # PF_X


class Site(NamedTuple):
    """One place of a probe.

    Attributes:
        offset: of its instruction in the file.
        address: of its instruction as the file is linked.
        semaphore: offset in the file of the counter that switches it on, 0 without one.
        arguments: where its arguments are, as the note says.
    """

    offset: int
    address: int
    semaphore: int
    arguments: str


class Found(NamedTuple):
    """The places of a probe; ``fixed``: the file is loaded at the addresses at which it is linked."""

    sites: list[Site]
    fixed: bool


class _Segment(NamedTuple):
    start: int
    size: int
    offset: int
    executable: bool

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.start <= address < self.start + self.size


def find(system: System, path: str, provider: str, name: str) -> Found:
    """Return the places of a probe in an ELF file for a machine; raise NotAttached where it has none of that name."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    what = f"usdt {path}:{provider}:{name}"
    try:
        with system.file(path) as file:
            elf = ELFFile(file)
            _check(elf, system, what)
            segments = [
                _Segment(s["p_vaddr"], s["p_memsz"], s["p_offset"], bool(s["p_flags"] & _EXECUTABLE))
                for s in elf.iter_segments("PT_LOAD")
            ]
            notes, base = elf.get_section_by_name(_NOTES), elf.get_section_by_name(_BASE)
            shape = ("<" if elf.little_endian else ">") + ("QQQ" if elf.elfclass == 64 else "III")
            sites = [
                _site(place, base["sh_addr"] if base is not None else 0, arguments, segments, what)
                for place, *names, arguments in (_notes(notes.data(), shape) if notes is not None else ())
                if names == [provider, name]
            ]
            fixed = elf["e_type"] == "ET_EXEC"
    except OSError as e:
        raise NotAttached(f"{path}: {error_name(e.errno)}", code="attach-target-missing", number=e.errno or 0) from e
    except (ELFError, struct.error, ValueError, AttributeError) as e:
        raise NotAttached(f"{path}: is no sound ELF file: {e}", code="attach-target-missing") from e
    if not sites:
        raise NotAttached(f"{what}: the file has no such probe", code="attach-target-missing")
    return Found(sites, fixed)


def _check(elf: Any, here: System, what: str) -> None:
    """Refuse a file that this machine does not run as its own."""
    if (elf.elfclass, elf.little_endian) != (8 * here.pointer_size, here.byteorder == "little"):
        raise NotAttached(f"{what}: the file is not of this architecture", code="attach-target-missing")


def _notes(data: bytes, shape: str) -> Iterator[tuple[tuple[int, int, int], str, str, str]]:
    """Yield (location, base, semaphore), provider, name, arguments of each note; raise ValueError for a damaged one."""
    order = shape[0]
    head = struct.Struct(f"{order}III")
    at, words = 0, struct.calcsize(shape)
    while at + head.size <= len(data):
        name_size, size, kind = head.unpack_from(data, at)
        start = at + head.size + (name_size + 3 & ~3)
        owner, description = data[at + head.size : at + head.size + name_size], data[start : start + size]
        if owner.rstrip(b"\0") != _OWNER or kind != _TYPE or len(description) < words + 3:
            raise ValueError(f"the note at {at:#x} of {_NOTES} is none of a probe")
        texts = description[words:].split(b"\0")
        if len(texts) < 4 or not texts[1]:
            raise ValueError(f"the note at {at:#x} of {_NOTES} ends too early")
        provider, name, arguments = (text.decode("utf-8", "replace") for text in texts[:3])
        location, base, semaphore = struct.unpack_from(shape, description)
        yield (location, base, semaphore), provider, name, "" if arguments.startswith(":") else arguments
        at = start + (size + 3 & ~3)


def _site(place: tuple[int, int, int], base: int, arguments: str, segments: list[_Segment], what: str) -> Site:
    """Return a note's place as offsets in the file; prelinking moves the code, and ``.stapsdt.base`` with it."""
    location, linked_base, semaphore = place
    if base and linked_base:
        location += base - linked_base
    code = next((s for s in segments if location in s), None)
    if code is None or not code.executable:
        raise NotAttached(f"{what}: {location:#x} is in no code that is loaded", code="attach-target-missing")
    counter = next((s for s in segments if semaphore in s), None) if semaphore else None
    if semaphore and (counter is None or counter.executable):
        raise NotAttached(
            f"{what}: its counter {semaphore:#x} is in no data that is loaded", code="attach-target-missing"
        )
    return Site(
        location - code.start + code.offset,
        location,
        semaphore - counter.start + counter.offset if counter is not None else 0,
        arguments,
    )
