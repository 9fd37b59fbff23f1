"""BPF objects inside other files: in programs of C, Go and Rust, in shared libraries, in anything that holds bytes.

Tools carry their objects as plain data (skeletons of bpftool, bpf2go's go:embed, include_bytes!), aligned or not. An
object begins with its ELF header, which says where its section headers are, and these where its last byte is; so it is
found without knowing what holds it. What is compressed is not found.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import hashlib
import re
import struct
from typing import TYPE_CHECKING, Optional

from everykernel.errors import ObjectMalformed, ObjectUnsupported
from everykernel.namedtuple import NamedTuple
from everykernel.object import embedded_names
from everykernel.object.elf import EM_BPF, ET_REL

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADERS = re.compile(rb"\x7fELF[\x01\x02][\x01\x02]\x01")  # class, byte order, EV_CURRENT
_EHDR = {1: struct.Struct("<HHIQQQIHHHHHH"), 2: struct.Struct(">HHIQQQIHHHHHH")}  # by EI_DATA, behind e_ident
_SHDR = {1: struct.Struct("<IIQQQQIIQQ"), 2: struct.Struct(">IIQQQQIIQQ")}
_IDENT, _HEADER, _SECTION = 16, 64, 64  # bytes of e_ident, Elf64_Ehdr and Elf64_Shdr
_SHT_NOBITS = 8
_TYPES = range(1, 5)  # ET_REL to ET_CORE
_ORDERS = {1: "little", 2: "big"}


class Embedded(NamedTuple):
    """One object inside a file.

    ``name`` is the symbol's that holds or points to it, as its author wrote it without the loader's decoration, else
    the byte offset (``0x1a40``); it can be part of a path. ``sha256`` is the object's.
    """

    name: str
    offset: int
    byteorder: str
    sha256: str
    data: bytes


class Found(NamedTuple):
    """What is inside a file: its objects, each content once, and how many ELF files are no BPF objects."""

    objects: list[Embedded]
    others: int


def find(data: bytes, name: str) -> Found:
    """Return the objects inside a file's bytes; ``name`` stands in messages.

    The work is linear in the file's size, whatever it holds. Raises ObjectMalformed where its ELF headers claim more
    sections than the file has room for.
    """
    seen: dict[str, tuple[int, bytes]] = {}
    others = 0
    for start, content in _scan(data, name):
        if content is None:
            others += 1
        else:
            seen.setdefault(hashlib.sha256(content).hexdigest(), (start, content))
    names = embedded_names.of(data, [(start, len(content)) for start, content in seen.values()])
    taken: dict[str, int] = {}
    objects = []
    for sha256, (start, content) in seen.items():
        title = names.get(start, f"{start:#x}")
        if taken.setdefault(title, start) != start:
            title = f"{title}-{start:#x}"
        objects.append(Embedded(title, start, _ORDERS[content[5]], sha256, content))
    return Found(objects, others)


def carve(data: bytes) -> Iterator[bytes]:
    """Yield the bytes of each object inside ``data``, in order, duplicates too."""
    return (content for _, content in _scan(data, "") if content is not None)


def of_target(objects: list[Embedded], byteorder: str) -> list[Embedded]:
    """Return the objects that a target takes: of bpf2go's pairs the one of its byte order; where none has it, all."""
    return [o for o in objects if o.byteorder == byteorder] or objects


def none_in(found: Found, name: str) -> ObjectUnsupported:
    """Return what to raise for a file without any object."""
    files = f"{found.others} ELF file{'s' if found.others > 1 else ''} of other machines" if found.others else "no ELF"
    remedy = "what is compressed is not looked into: give the object itself"
    return ObjectUnsupported(f"no BPF object in it; {files}", where=name, remedy=remedy)


def _scan(data: bytes, name: str) -> Iterator[tuple[int, Optional[bytes]]]:
    """Yield where each ELF file begins, and its bytes if it is a BPF object; what lies in an object is passed over."""
    left = len(data) // _SECTION  # section headers that a file of this size can hold
    position = 0
    while found := _HEADERS.search(data, position):
        start = found.start()
        position = start + 1
        machine = _machine(data, start)
        if machine is None:
            continue
        if machine != EM_BPF:
            yield start, None
            continue
        order = data[start + 5]
        _, _, _, _, _, table, _, _, _, _, step, count, names = _EHDR[order].unpack_from(data, start + _IDENT)
        first = start + table
        if step != _SECTION or not 0 <= names < count or table < _HEADER or first + count * _SECTION > len(data):
            continue
        left -= count
        if left < 0:
            raise ObjectMalformed("its ELF headers claim more sections than a file of its size can hold", where=name)
        end = _end(data, first, count, order, table + count * _SECTION)
        if start + end <= len(data):
            position = start + end
            yield start, data[start:position]


def _machine(data: bytes, start: int) -> Optional[int]:
    """Return the machine of the ELF file that begins there (EM_BPF only for an object), None if none does."""
    if start + _IDENT + 8 > len(data):
        return None
    order = "<" if data[start + 5] == 1 else ">"
    kind, machine, version = struct.unpack_from(order + "HHI", data, start + _IDENT)
    if kind not in _TYPES or version != 1 or not machine:
        return None
    if machine != EM_BPF:
        return int(machine)
    return EM_BPF if kind == ET_REL and data[start + 4] == 2 and start + _HEADER <= len(data) else None


def _end(data: bytes, table: int, count: int, order: int, end: int) -> int:
    """Return where the last section ends, or the table of their headers, from the object's start."""
    headers = memoryview(data)[table : table + count * _SECTION]
    for _, kind, _, _, offset, size, _, _, _, _ in _SHDR[order].iter_unpack(headers):
        if kind != _SHT_NOBITS and offset + size > end:
            end = offset + size
    return end
