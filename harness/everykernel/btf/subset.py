"""A BTF cut down to chosen types, members and enumerators: what BTF archives for kernels without BTF ship.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING

from everykernel.btf import header, kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from everykernel.btf.types import Btf

_REFERS = frozenset({
    kinds.PTR, kinds.TYPEDEF, kinds.VOLATILE, kinds.CONST, kinds.RESTRICT, kinds.TYPE_TAG, kinds.FUNC, kinds.FUNC_PROTO,
    kinds.VAR, kinds.DECL_TAG,
})  # fmt: skip
_ITEM_WORDS = {kinds.STRUCT: 3, kinds.UNION: 3, kinds.ENUM: 2, kinds.ENUM64: 3, kinds.FUNC_PROTO: 2, kinds.DATASEC: 3}


class Subset:
    """What to keep of ``btf``: types by id and, of structs and enums, the positions of members and values."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self._words, self._offsets = btf.words()
        self._kept: dict[int, set[int]] = {}
        self._keep_long()

    def type(self, number: int, items: Iterable[int] = ()) -> bool:
        """Keep a type, with the members, values or parameters at these positions; return whether it is new."""
        new = number not in self._kept
        self._kept.setdefault(number, set()).update(items)
        return new

    def field(self, number: int) -> None:
        """Keep what tells a field's kind and size: its typedefs, its elements, a struct without members, a pointer.

        What a pointer points to is void unless something else keeps it.
        """
        for _ in range(self.btf.count):
            if number == 0:
                return
            self.type(number)
            found = self.btf.type(number)
            if isinstance(found, kinds.Array):
                self._index(found.index)
                number = found.type
            elif isinstance(found, (kinds.Typedef, kinds.Modifier, kinds.Var, kinds.DeclTag)):
                number = found.type
            else:
                return

    def _index(self, number: int) -> None:
        """Keep an array's index type."""
        while number and self.type(number):
            found = self.btf.type(number)
            number = found.type if isinstance(found, (kinds.Typedef, kinds.Modifier)) else 0

    def deep(self, number: int) -> None:
        """Keep a type and all that its members, elements and parameters are; structs behind pointers stay empty."""
        pending = [(number, False)]
        seen: set[tuple[int, bool]] = set()
        while pending:
            at, behind = pending.pop()
            if at == 0 or (at, behind) in seen:
                continue
            seen.add((at, behind))
            found = self.btf.type(at)
            self.type(at)
            if isinstance(found, kinds.Struct):
                if not behind:
                    self.type(at, range(len(found.members)))
                    pending.extend((m.type, False) for m in found.members)
            elif isinstance(found, kinds.Enum):
                self.type(at, range(len(found.values)))
            elif isinstance(found, kinds.FuncProto):
                self.type(at, range(len(found.params)))
                pending.extend((p.type, behind) for p in found.params)
                pending.append((found.type, behind))
            elif isinstance(found, kinds.Array):
                pending.extend(((found.type, behind), (found.index, behind)))
            elif isinstance(found, (kinds.Ptr, kinds.Typedef, kinds.Modifier, kinds.Func)):
                pending.append((found.type, behind or isinstance(found, kinds.Ptr)))

    def _keep_long(self) -> None:
        """Keep one ``long``: it tells readers the kernel's pointer size."""
        number = next((n for name in ("long int", "long", "long unsigned int", "unsigned long")
                       for n in self.btf.find_all(name, ("int",))), None)  # fmt: skip
        if number is not None:
            self.type(number)

    def image(self) -> bytes:
        """Return the BTF of what is kept, in the byte order of the original; types keep their order."""
        numbers = sorted(self._kept)
        new = {old: position for position, old in enumerate(numbers, 1)}
        strings = bytearray(b"\0")
        offsets = {"": 0}

        def string(offset: int) -> int:
            text = self.btf.string(offset)
            if text not in offsets:
                offsets[text] = len(strings)
                strings.extend(text.encode("utf-8", "surrogateescape") + b"\0")
            return offsets[text]

        words = array("I")
        for old in numbers:
            words.extend(self._record(old, new, string))
        if self.btf.byteorder != sys.byteorder:
            words.byteswap()
        return header.image(self.btf.byteorder, words.tobytes(), bytes(strings))

    def _record(self, old: int, new: dict[int, int], string: Callable[[int], int]) -> list[int]:
        """Return a kept type's words with names and ids of the new BTF."""
        start = self._offsets[old - self.btf.first]
        end = self._offsets[old - self.btf.first + 1] if old + 1 < self.btf.count else len(self._words)
        record = list(self._words[start:end])
        kind = record[1] >> 24 & 0x1F
        record[0] = string(record[0])
        if kind in _REFERS:
            record[2] = new.get(record[2], 0)
        if kind == kinds.ARRAY:
            record[3:5] = [new.get(record[3], 0), new.get(record[4], 0)]
        width = _ITEM_WORDS.get(kind)
        if width is None:
            return record
        kept = sorted(self._kept[old])
        items = [record[3 + width * i : 3 + width * (i + 1)] for i in kept]
        for item in items:
            item[0] = string(item[0])
            if kind in (kinds.STRUCT, kinds.UNION, kinds.FUNC_PROTO):
                item[1] = new.get(item[1], 0)
        return [record[0], record[1] & 0xFF000000 | len(kept), record[2], *(word for item in items for word in item)]
