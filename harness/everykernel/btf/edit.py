"""A copy of a BTF that can be changed: records in place, strings and types added at the end.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING

from everykernel.btf import header, kinds
from everykernel.errors import BtfMalformed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everykernel.btf.types import Btf


class Editor:
    """The changes; `image` gives the bytes with a plain header (no layout section: kernels before 7.1 refuse one)."""

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._strings = bytearray(btf.strings()[-1].data)
        self._strings_start = btf.strings()[-1].start
        self._words, self._offsets = btf.words()
        self._added: dict[str, int] = {}

    def string(self, text: str) -> int:
        """Return the offset of a string, adding it unless it was added before."""
        offset = self._added.get(text)
        if offset is None:
            offset = self._added[text] = self._strings_start + len(self._strings)
            self._strings += text.encode("utf-8", "surrogateescape") + b"\0"
        return offset

    def at(self, number: int) -> int:
        """Return the index of a type's first word; raise BtfMalformed for one that is not this BTF's own."""
        if not self._btf.first <= number < self._btf.first + len(self._offsets):
            raise BtfMalformed(f"there is no type {number} to change", where=self._btf.name)
        return self._offsets[number - self._btf.first]

    @property
    def words(self) -> array[int]:
        """All records as 32-bit words in the machine's order: name, info, size or type, then what the kind adds."""
        return self._words

    def add_int(self, name: str, size: int) -> int:
        """Add an unsigned int type and return its id."""
        return self.add(self.string(name), kinds.INT << 24, size, 8 * size)

    def add(self, *words: int) -> int:
        """Add a type by its words (name, info, size or type, then what the kind adds) and return its id."""
        self._offsets.append(len(self._words))
        self._words.extend(words)
        return self._btf.first + len(self._offsets) - 1

    def set_linkage(self, number: int, linkage: int) -> None:
        """Set the linkage of a func or var (an index of `kinds.LINKAGES`)."""
        at = self.at(number)
        kind = self._words[at + 1] >> 24 & 0x7F
        if kind == kinds.FUNC:
            self._words[at + 1] = self._words[at + 1] & 0xFF000000 | linkage
        elif kind == kinds.VAR:
            self._words[at + 3] = linkage
        else:
            raise BtfMalformed("has no linkage to set", where=f"{self._btf.name}: type {number}")

    def set_section(self, number: int, size: int, places: Mapping[int, int]) -> None:
        """Set a datasec's size and the offsets of its variables (by the id of the var), and sort them by offset.

        Compilers leave both 0: they are in the ELF file only.
        """
        at = self.at(number)
        words = self._words
        count = words[at + 1] & 0xFFFFFF
        variables = [list(words[i : i + 3]) for i in range(at + 3, at + 3 + 3 * count, 3)]
        for variable in variables:
            variable[1] = places.get(variable[0], variable[1])
        variables.sort(key=lambda v: v[1])
        words[at + 2] = size
        words[at + 3 : at + 3 + 3 * count] = array("I", [word for variable in variables for word in variable])

    def image(self) -> bytes:
        """Return the changed BTF in its own byte order."""
        words = array("I", self._words)
        if self._btf.byteorder != sys.byteorder:
            words.byteswap()
        return header.image(self._btf.byteorder, words.tobytes(), bytes(self._strings))
