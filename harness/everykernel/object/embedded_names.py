"""What the objects inside an ELF program are called: by the symbol that holds one, or that points to one.

A C array and a skeleton's data hold the bytes; bpf2go's ``_BpfBytes`` ([]byte with go:embed) and a Rust
``&[u8]`` point to them, by an address in the file or by a relocation without a symbol (position-independent programs).
A stripped program has no such names.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Optional

from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SYMTAB, _RELA, _DYNSYM, _NOBITS = 2, 4, 11, 8  # SHT_*
_ALLOC = 2  # SHF_ALLOC
_OBJECT, _NOTYPE = 1, 0  # STT_*
_SYMBOL = 24  # bytes of an Elf64_Sym, and of an Elf64_Rela
_POINTER = 8
_HELD = range(16, 25)  # bytes of a Go string or slice header and of a Rust slice: a pointer and one or two words
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_OF_SKELETONS = "data"  # the array in what bpftool gen skeleton writes
_RUST = re.compile(r"_ZN[\w.$]+17h[0-9a-f]{16}E")  # legacy mangling: lengths and names, a hash at the end
_RUST_V0 = re.compile(r"_R[\w.$]*\d(?P<last>[A-Za-z_]\w*)")
_LENGTH = re.compile(r"\d{1,4}")
_BPF2GO = re.compile(r"_(?P<stem>\w+)Bytes")
_LINKED = re.compile(r"_binary_(?P<stem>\w+)_start")  # ld -r -b binary


class _Section(NamedTuple):
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


def of(data: bytes, places: Sequence[tuple[int, int]]) -> dict[int, str]:
    """Return the names of objects by their byte offset; ``places`` are (offset, size). What has none is left out.

    A file that is no sound 64-bit ELF program has no names; nothing is raised.
    """
    if not places or data[:5] != b"\x7fELF\2" or data[5:6] not in (b"\1", b"\2"):
        return {}
    try:
        return _Names(data, "<" if data[5] == 1 else ">").of(places)
    except struct.error:
        return {}


class _Names:
    def __init__(self, data: bytes, order: str) -> None:
        self._data = data
        self._order = order
        self._sections = list(self._headers())
        mapped = [s for s in self._sections if s.flags & _ALLOC and s.address]
        self._by_address = sorted(mapped, key=lambda s: s.address)
        self._addresses = [s.address for s in self._by_address]
        self._by_offset = sorted(mapped, key=lambda s: s.offset)
        self._offsets = [s.offset for s in self._by_offset]

    def of(self, places: Sequence[tuple[int, int]]) -> dict[int, str]:
        """Return the names of the objects at these places."""
        addresses: dict[int, tuple[int, int]] = {}
        for offset, size in places:
            address = self._address(offset)
            if address is not None:
                addresses[address] = offset, size
        order = sorted(addresses)
        pointers = self._pointers(addresses)
        names: dict[int, str] = {}
        for text, value, size in self._symbols():
            index = bisect_left(order, value)
            if index < len(order) and order[index] < value + max(size, 1):
                target: Optional[int] = order[index]
                if size and order[index] + addresses[order[index]][1] > value + size:
                    continue
            else:
                target = self._pointed(value, size, pointers)
            name = readable(text) if target in addresses else ""
            if target is not None and name:
                names.setdefault(addresses[target][0], name)
        return names

    def _headers(self) -> Iterator[_Section]:
        table = struct.unpack_from(self._order + "Q", self._data, 40)[0]
        step, count = struct.unpack_from(self._order + "HH", self._data, 58)
        if step != 64 or table + count * 64 > len(self._data):
            return
        headers = memoryview(self._data)[table : table + count * 64]
        for _, kind, flags, address, offset, size, link, *_ in struct.iter_unpack(self._order + "IIQQQQIIQQ", headers):
            if kind != _NOBITS and offset + size <= len(self._data):
                yield _Section(kind, flags, address, offset, size, link)
            else:
                yield _Section(_NOBITS, 0, 0, 0, 0, 0)

    def _address(self, offset: int) -> Optional[int]:
        """Return the address of a place in the file, None where it is mapped nowhere."""
        index = bisect_right(self._offsets, offset) - 1
        section = self._by_offset[index] if index >= 0 else None
        if section is None or offset >= section.offset + section.size:
            return None
        return section.address + offset - section.offset

    def _pointed(self, address: int, size: int, pointers: dict[int, int]) -> Optional[int]:
        """Return what a symbol that is as large as a slice points to."""
        if size not in _HELD:
            return None
        if address in pointers:
            return pointers[address]
        index = bisect_right(self._addresses, address) - 1
        if index < 0:
            return None
        section = self._by_address[index]
        place = address - section.address
        if place + _POINTER > section.size:
            return None
        return int(struct.unpack_from(self._order + "Q", self._data, section.offset + place)[0])

    def _pointers(self, addresses: dict[int, tuple[int, int]]) -> dict[int, int]:
        """Return where the dynamic linker puts addresses of objects: place → address."""
        found: dict[int, int] = {}
        for content in self._tables(_RELA):
            for place, info, addend in struct.iter_unpack(self._order + "QQq", content):
                if not info >> 32 and addend in addresses:
                    found[place] = addend
        return found

    def _symbols(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield name, address and size of each data symbol."""
        for kind in (_SYMTAB, _DYNSYM):
            section = next((s for s in self._sections if s.kind == kind), None)
            if section is None or section.link >= len(self._sections):
                continue
            strings = self._sections[section.link]
            end = strings.offset + strings.size
            content = memoryview(self._data)[section.offset : section.offset + section.size // _SYMBOL * _SYMBOL]
            for name, info, _, index, value, size in struct.iter_unpack(self._order + "IBBHQQ", content):
                if index and info & 15 in (_OBJECT, _NOTYPE) and name < strings.size:
                    start = strings.offset + name
                    stop = self._data.find(b"\0", start, min(end, start + 256))
                    yield self._data[start : stop if stop >= 0 else start], value, size

    def _tables(self, kind: int) -> Iterator[memoryview]:
        """Yield the sections of a kind as whole entries, together no more than the file is long."""
        left = len(self._data)
        for section in self._sections:
            if section.kind == kind and section.size <= left:
                left -= section.size
                yield memoryview(self._data)[section.offset : section.offset + section.size // _SYMBOL * _SYMBOL]


def readable(symbol: bytes) -> str:
    """Return what a symbol's author wrote, "" for what a compiler made up or what cannot be part of a path.

    ``main._BpfBytes`` (bpf2go) is ``bpf``, ``_ZN6mytool3OBJ17h…E`` (Rust) is ``OBJ``, ``prog_bpf_o`` is itself.
    """
    text = symbol.decode("utf-8", "replace")
    v0, linked = _RUST_V0.fullmatch(text), _LINKED.fullmatch(text)
    if _RUST.fullmatch(text):
        text = _last(text)
    elif v0 or linked:
        text = v0["last"] if v0 else linked["stem"] if linked else ""
    elif go := _BPF2GO.fullmatch(text.rpartition(".")[2]):
        text = go["stem"][:1].lower() + go["stem"][1:]
    return text if _NAME.fullmatch(text) and text != _OF_SKELETONS else ""


def _last(mangled: str) -> str:
    """Return the last name of a path in Rust's legacy mangling, before its hash."""
    position, names = len("_ZN"), [""]
    while found := _LENGTH.match(mangled, position):
        position = found.end() + int(found.group())
        names.append(mangled[found.end() : position])
    return names[-2] if len(names) > 1 else ""
