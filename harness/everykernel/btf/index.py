"""Types by name, without a table of names.

A name is searched for in the bytes of the string section, and the offsets where it stands in the array of the types'
name offsets: two searches in C for each name, nothing built but that array and the set of its values. A name offset may
point into the middle of a longer string, so every occurrence counts.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from array import array

    from everykernel.btf.types import Btf


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


class NameIndex:
    """The name offsets of a BTF's own types, in order of their ids."""

    def __init__(self, offsets: array[int]) -> None:
        self._bytes = offsets.tobytes()
        self._width = offsets.itemsize
        self._make = type(offsets)
        self.used = frozenset(offsets)

    def numbers(self, offsets: list[int], first: int) -> list[int]:
        """Return the ids of the types whose name offset is one of these; ``first`` is the id of the first type."""
        haystack, width = self._bytes, self._width
        found = []
        for offset in offsets:
            needle = self._make("I", [offset]).tobytes()
            at = haystack.find(needle)
            while at >= 0:
                if at % width == 0:
                    found.append(first + at // width)
                    at += width - 1
                at = haystack.find(needle, at + 1)
        found.sort()
        return found


def exact(btf: Btf, name: str) -> list[int]:
    """Return the string offsets, in use by types of ``btf``, where exactly this name stands."""
    return _search(btf, name, flavours=False)


def flavoured(btf: Btf, name: str) -> list[int]:
    """Return the string offsets, in use by types of ``btf``, where this name or a flavour of it stands."""
    return _search(btf, name, flavours=True)


def _search(btf: Btf, name: str, *, flavours: bool) -> list[int]:
    needle = name.encode("utf-8", "surrogateescape")
    if not needle:
        return []
    used = btf.index.used
    found = []
    for strings, start in btf.string_sections():
        at = strings.find(needle)
        while at >= 0:
            offset = start + at
            if offset in used:
                end = at + len(needle)
                if strings[end] == 0 or (
                    flavours and strings[end : end + 3] == b"___" and essential(btf.string(offset)) == name
                ):
                    found.append(offset)
            at = strings.find(needle, at + 1)
    return found
