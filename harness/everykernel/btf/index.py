"""Types by name.

A cold process that looks up a few names searches for them in the bytes of the string section, and for the offsets where
they stand in the array of the types' name offsets: two searches in C for each name, nothing built. Where more names
are asked for (or the BTF is warmed up for them), dictionaries of strings and offsets are built, in C too.

A name offset may point into the middle of a longer string; a module's names may stand in its base's strings.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import Optional

_ENOUGH = 16  # searches after which dictionaries pay (a search takes about a millisecond in a vmlinux, they take 40)
_FEW = 2  # searches for which a set of all types' name offsets would take longer than a look at all of them


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


class StringTable:
    """One string section; ``start`` is the offset of its first byte in the numbering that it shares with its base's."""

    def __init__(self, data: bytes, start: int) -> None:
        self.data = data
        self.start = start
        self.end = start + len(data)
        self.starts: frozenset[int] = frozenset()
        self._exact: Optional[dict[bytes, int]] = None
        self._flavours: dict[bytes, list[int]] = {}

    @property
    def built(self) -> bool:
        """Whether the dictionaries are there."""
        return self._exact is not None

    def build(self) -> bool:
        """Build the dictionaries; return whether each string stands here once (else only a search finds all)."""
        if self._exact is None:
            texts = self.data.split(b"\0")
            offsets = list(accumulate([len(text) + 1 for text in texts], initial=self.start))[: len(texts) - 1]
            self._exact = dict(zip(texts, offsets))
            self.starts = frozenset(offsets)
            self._find_flavours()
        return len(self._exact) == len(self.starts)

    def _find_flavours(self) -> None:
        at = self.data.find(b"___")
        while at >= 0:
            begin, end = self.data.rfind(b"\0", 0, at) + 1, self.data.index(b"\0", at)
            name = self.data[begin:end].decode("utf-8", "surrogateescape")
            short = essential(name)
            if short != name:
                self._flavours.setdefault(short.encode("utf-8", "surrogateescape"), []).append(self.start + begin)
            at = self.data.find(b"___", end)

    def get(self, name: bytes, flavours: bool) -> list[int]:
        """Return the offsets of strings that are this name, or (after `build`) a flavour of it."""
        assert self._exact is not None
        offset = self._exact.get(name)
        found = [] if offset is None else [offset]
        return found + self._flavours.get(name, []) if flavours else found

    def search(self, name: bytes, flavours: bool) -> list[int]:
        """Return the offsets where this name stands, or a flavour of it, at the end of longer strings too."""
        data = self.data
        found = []
        at = data.find(name)
        while at >= 0:
            end = at + len(name)
            if data[end] == 0 or (flavours and data[end : end + 3] == b"___" and self._is_flavour(at, name)):
                found.append(self.start + at)
            at = data.find(name, at + 1)
        return found

    def _is_flavour(self, at: int, name: bytes) -> bool:
        text = self.data[at : self.data.index(b"\0", at)].decode("utf-8", "surrogateescape")
        return essential(text).encode("utf-8", "surrogateescape") == name


class NameIndex:
    """The names of one BTF's own types.

    Args:
        offsets: the name offset of each type, in order of their ids.
        first: the id of the first type.
        tables: the string sections that names may stand in.
    """

    def __init__(self, offsets: tuple[int, ...], first: int, tables: tuple[StringTable, ...]) -> None:
        self._offsets = offsets
        self._bytes = b""
        self._first = first
        self._tables = tables
        self._used: frozenset[int] = frozenset()
        self._searches = 0
        self._built = False
        self._regular = False
        self._lowest: dict[int, int] = {}
        self._highest: dict[int, int] = {}

    def build(self) -> None:
        """Build the dictionaries now (before a snapshot is taken, say)."""
        if not self._built:
            self._built = True
            unique = [table.build() for table in self._tables]
            self._used = rest = frozenset(self._offsets)
            for table in reversed(self._tables):
                rest = rest - table.starts
            self._regular = all(unique) and not rest
            ids = range(self._first, self._first + len(self._offsets))
            self._highest = dict(zip(self._offsets, ids))
            self._lowest = dict(zip(reversed(self._offsets), reversed(ids)))

    def find(self, name: str, *, flavours: bool) -> list[int]:
        """Return the ids of types with this name, or with it as their essential name, in order."""
        wanted = name.encode("utf-8", "surrogateescape")
        if not wanted:
            return []
        self._searches += 1
        if self._searches > _ENOUGH or self._tables[0].built:  # a module need not search its base's strings again
            self.build()
        if self._regular:
            offsets = [o for table in self._tables for o in table.get(wanted, flavours) if o in self._used]
        else:
            there = [o for table in self._tables for o in table.search(wanted, flavours)]
            offsets = self._among(there)
        return sorted(number for offset in offsets for number in self._numbers(offset))

    def like(self, name: str, limit: int) -> list[str]:
        """Return up to ``limit`` names of types that start or end with the same four letters."""
        wanted = name.encode("utf-8", "surrogateescape")
        found: dict[bytes, None] = {}
        self._used = self._used or frozenset(self._offsets)
        for table in self._tables:
            for needle in (b"\0" + wanted[:4], wanted[-4:] + b"\0"):
                at = table.data.find(needle)
                while at >= 0 and len(found) < limit:
                    start = table.data.rfind(b"\0", 0, at + 1) + 1
                    text = table.data[start : table.data.index(b"\0", start)]
                    if text and table.start + start in self._used:
                        found[text] = None
                    at = table.data.find(needle, start + len(text))
        return [text.decode("utf-8", "surrogateescape") for text in found]

    def _among(self, offsets: list[int]) -> list[int]:
        """Return those of these offsets where types have their names."""
        if not self._used and self._searches <= _FEW:
            return list({*offsets}.intersection(self._offsets)) if offsets else []
        self._used = self._used or frozenset(self._offsets)
        return [o for o in offsets if o in self._used]

    def _numbers(self, offset: int) -> list[int]:
        """Return the ids of the types whose name is at this offset."""
        if self._built and self._lowest[offset] == self._highest[offset]:
            return [self._lowest[offset]]
        self._bytes = self._bytes or array("I", self._offsets).tobytes()
        needle = array("I", [offset]).tobytes()
        width = len(needle)
        found = []
        at = self._bytes.find(needle)
        while at >= 0:
            if at % width == 0:
                found.append(self._first + at // width)
            at = self._bytes.find(needle, at + 1)
        return found
