"""Types by name.

A cold process that looks up a few names searches for them in the bytes of the string section, and for the offsets where
they stand in the array of the types' name offsets: two searches in C for each name, nothing built. Where more names
are asked for (or the BTF is warmed up for them), the types are sorted by their names, and found by bisection. The order
is two arrays of 32-bit numbers: a warm snapshot holds it in 0.5 MB, where dictionaries of 60,000 names took 30.

A name offset may point into the middle of a longer string; a module's names may stand in its base's strings.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import functools
from array import array
from typing import Optional, Union

from everykernel.btf.learnt import Learnt
from everykernel.dataclass import dataclass

_ENOUGH = 16  # searches after which sorting pays (a search takes about a millisecond in a vmlinux, sorting takes 50)
_MANY = 16  # places of which a look at all types' names tells which are names, sooner than a search for each
_MOST = 64 << 20  # bytes of all names together for which they are sorted; a vmlinux's have 2 MB


def essential(name: str) -> str:
    """Return a name without its flavour: what stands before the last ``___`` between two other characters.

    As libbpf's bpf_core_essential_name_len: ``task_struct___old`` is a flavour of ``task_struct``; four or more
    underscores in a row, or underscores at an end, separate nothing.
    """
    at = name.rfind("___")
    while at > 0:
        if at + 3 < len(name) and name[at - 1] != "_" and name[at + 3] != "_":
            return name[:at]
        at = name.rfind("___", 0, at + 2)
    return name


@dataclass(frozen=True)
class StringTable:
    """One string section; ``start`` is the offset of its first byte in the numbering that it shares with its base's."""

    data: bytes
    start: int

    @property
    def end(self) -> int:
        """The offset after its last byte."""
        return self.start + len(self.data)

    @functools.cached_property
    def longest(self) -> int:
        """The length of its longest string."""
        return max(map(len, self.data.split(b"\0")))

    def text(self, offset: int) -> bytes:
        """Return the string that begins at an offset of this section."""
        at = offset - self.start
        return self.data[at : self.data.index(b"\0", at)]


class NameIndex:
    """The names of one BTF's own types.

    Args:
        offsets: the name offset of each type, in order of their ids.
        first: the id of the first type.
        tables: the string sections that names may stand in, the base's first.
    """

    def __init__(self, offsets: array[int], first: int, tables: tuple[StringTable, ...]) -> None:
        self._given = (offsets, first, tables)
        self._tables = tables
        self._way: Union[_Searched, _Sorted, None] = None
        self._searches = 0

    @classmethod
    def learnt(cls, known: Learnt, tables: tuple[StringTable, ...]) -> NameIndex:
        """Return the index of types that were sorted elsewhere; `Learnt` has all that it is made of."""
        made = cls(array("I"), 0, tables)
        made._way = _Sorted(tables, known.ids, known.names, known.flavours)
        return made

    def build(self) -> None:
        """Sort the types by name now (before a snapshot is taken, say), unless that is done, or cannot be."""
        if not isinstance(self._way, _Sorted) and _can_be_sorted(*self._given):
            self._way = _sort(*self._given)

    def sorted(self) -> Optional[tuple[array[int], array[int], list[bytes]]]:
        """Return the ids of the named types sorted by name, the offsets of these, and the names that are flavours.

        None where they cannot be sorted.
        """
        self.build()
        way = self._way
        if not isinstance(way, _Sorted):
            return None
        return way.ids, way.offsets, [name for names in way.flavours.values() for name in names]

    def find(self, name: str, *, flavours: bool) -> list[int]:
        """Return the ids of types with this name, or with it as their essential name, in order."""
        wanted = name.encode("utf-8", "surrogateescape")
        if not wanted or b"\0" in wanted:
            return []
        self._searches += 1
        if self._searches > _ENOUGH or len(self._tables) > 1:  # a module has few types, and its base long strings
            self.build()
        return sorted(self._found_by().find(wanted, flavours))

    def like(self, name: str, limit: int) -> list[str]:
        """Return up to ``limit`` names of types that start or end with the same four letters."""
        wanted = name.encode("utf-8", "surrogateescape")
        found: dict[bytes, None] = {}
        way = self._found_by()
        for table in self._tables:
            for needle in (b"\0" + wanted[:4], wanted[-4:] + b"\0"):
                at = table.data.find(needle)
                while at >= 0 and len(found) < limit:
                    start = table.data.rfind(b"\0", 0, at + 1) + 1
                    text = table.data[start : table.data.index(b"\0", start)]
                    if text and way.names(table.start + start, text):
                        found[text] = None
                    at = table.data.find(needle, start + len(text))
        return [text.decode("utf-8", "surrogateescape") for text in found]

    def _found_by(self) -> Union[_Searched, _Sorted]:
        if self._way is None:
            self._way = _Searched(*self._given)
        return self._way


class _Searched:
    """Names that are searched for."""

    def __init__(self, offsets: array[int], first: int, tables: tuple[StringTable, ...]) -> None:
        self._offsets = offsets
        self._bytes = offsets.tobytes()
        self._first = first
        self._tables = tables

    def names(self, offset: int, _: bytes) -> bool:
        """Return whether the string at an offset is a type's name."""
        return bool(self._at(offset))

    def find(self, name: bytes, flavours: bool) -> list[int]:
        """Return the ids of the types with this name, or a flavour of it."""
        places = [at for table in self._tables for at in _places(table, name, flavours)]
        if len(places) > _MANY:
            places = [*frozenset(places).intersection(self._offsets)]
        return [number for at in places for number in self._at(at)]

    def _at(self, offset: int) -> list[int]:
        """Return the ids of the types whose name is at this offset."""
        needle = array("I", [offset]).tobytes()
        width = len(needle)
        found = []
        at = self._bytes.find(needle)
        while at >= 0:
            if at % width == 0:
                found.append(self._first + at // width)
            at = self._bytes.find(needle, at + 1)
        return found


def _places(table: StringTable, name: bytes, flavours: bool) -> list[int]:
    """Return the offsets where this name stands, or a flavour of it, at the end of longer strings too."""
    data, start = table.data, table.start
    found = []
    at = data.find(name)
    while at >= 0:
        end = at + len(name)
        if data[end] == 0 or (
            flavours and data[end : end + 3] == b"___" and _essential(table.text(start + at)) == name
        ):
            found.append(start + at)
        at = data.find(name, at + 1)
    return found


def _can_be_sorted(offsets: array[int], _: int, tables: tuple[StringTable, ...]) -> bool:
    """Return whether the names, each taken out of its section, have a bearable size, whatever they point to."""
    return len(offsets) * max(table.longest for table in tables) <= _MOST


class _Sorted:
    """Named types sorted by their names: their ids, and the offsets of their names; and the names that are flavours."""

    def __init__(
        self, tables: tuple[StringTable, ...], ids: array[int], offsets: array[int], names: list[bytes]
    ) -> None:
        self._tables = tables
        self.ids = ids
        self.offsets = offsets
        self.flavours = _flavours(b"\0".join([b"", *names, b""]))

    def names(self, _: int, text: bytes) -> bool:
        """Return whether a string is a type's name."""
        return bool(self._named(text))

    def find(self, name: bytes, flavours: bool) -> list[int]:
        """Return the ids of the types with this name, or a flavour of it."""
        found = self._named(name)
        for flavour in self.flavours.get(name, ()) if flavours else ():
            found += self._named(flavour)
        return found

    def _named(self, name: bytes) -> list[int]:
        """Return the ids of the types with exactly this name: by bisection."""
        wanted = name + b"\0"
        offsets, width = self.offsets, len(wanted)
        data, start = self._tables[-1].data, self._tables[-1].start
        low, high = 0, len(offsets)
        while low < high:
            middle = (low + high) >> 1
            at = offsets[middle] - start
            if (data[at : at + width] if at >= 0 else self._head(at + start, width)) < wanted:
                low = middle + 1
            else:
                high = middle
        end = low
        while end < len(offsets) and self._head(offsets[end], width) == wanted:
            end += 1
        return list(self.ids[low:end])

    def _head(self, offset: int, width: int) -> bytes:
        """Return so many bytes from an offset on, whichever section it is in."""
        table = _table(self._tables, offset)
        return table.data[offset - table.start : offset - table.start + width]


def _sort(offsets: array[int], first: int, tables: tuple[StringTable, ...]) -> _Sorted:
    """Return the named types of a BTF sorted."""
    data, start, end = tables[-1].data, tables[-1].start, tables[-1].end
    index = data.index
    ids = [number for number, offset in enumerate(offsets, first) if 0 < offset < end]
    named = [offset for offset in offsets if 0 < offset < end]
    texts = [
        data[offset - start : index(b"\0", offset - start)] if offset >= start else _table(tables, offset).text(offset)
        for offset in named
    ]
    order = sorted(range(len(ids)), key=texts.__getitem__)
    return _Sorted(tables, array("I", map(ids.__getitem__, order)), array("I", map(named.__getitem__, order)), texts)


def _table(tables: tuple[StringTable, ...], offset: int) -> StringTable:
    return next(table for table in reversed(tables) if table.start <= offset)


def _flavours(names: bytes) -> dict[bytes, list[bytes]]:
    """Return those of the names, each between zero bytes, that are flavours, by what they are flavours of."""
    found: dict[bytes, dict[bytes, None]] = {}
    at = names.find(b"___")
    while at >= 0:
        name = names[names.rfind(b"\0", 0, at) + 1 : names.index(b"\0", at)]
        short = _essential(name)
        if short != name:
            found.setdefault(short, {})[name] = None
        at = names.find(b"___", names.index(b"\0", at))
    return {short: list(flavours) for short, flavours in found.items()}


def _essential(text: bytes) -> bytes:
    return essential(text.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
