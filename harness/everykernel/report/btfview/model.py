"""What the page holds of one BTF: its named types as rows of text, and which types each row names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from everykernel.btf import Btf, kinds, render
from everykernel.btf.naming import printable, title
from everykernel.btf.types import SizeUnknown

KINDS = ("struct", "union", "enum", "typedef", "func")
_NAMED = {"struct": "struct", "union": "union", "enum": "enum", "enum64": "enum", "typedef": "typedef", "func": "func"}
_MOST_STEPS = 500  # types looked through for what one row names: pointers, arrays, parameters


class Line(NamedTuple):
    """One row of a type as it is shown.

    Attributes:
        what: as `render.Row` has it; ``value`` of an enum's, ``declaration`` of a typedef and of a function.
        depth: how deep it stands, 0 for a declaration.
        text: C, or an enumerator's name.
        path: what it is called: the names that lead to it; "" of holes.
        place: bytes, ``byte:bit`` of bitfields, an enumerator's value; "" where there is none.
        size: bytes, or bits in words; "" where it is not known.
        uses: indexes of the types (`Entry`) that the text names, in the order in which it names them.
    """

    what: str
    depth: int
    text: str
    path: str
    place: str
    size: str
    uses: tuple[int, ...] = ()


class Entry(NamedTuple):
    """One type: its kind of `KINDS`, its name ("" if it has none), its title in C, its size in bytes (-1: none)."""

    kind: str
    name: str
    title: str
    size: int
    lines: list[Line]
    number: int

    def data(self) -> list[Any]:
        """Return it as the page's JSON has it."""
        return [self.kind, self.name, self.title, self.size, [list(line) for line in self.lines]]


def entries(btf: Btf) -> list[Entry]:
    """Return every named struct, union, enum, typedef and function, then the nameless types that their rows name.

    What a nameless struct in a struct holds is shown in place; one behind a pointer or in an array has an entry.
    """
    return _Model(btf).entries


class _Model:
    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        named = [number for number, found in btf if found.name and found.kind in _NAMED]
        self._waiting: list[int] = list(named)
        self._places: dict[int, int] = {number: place for place, number in enumerate(named)}
        self.entries: list[Entry] = []
        while len(self.entries) < len(self._waiting):  # nameless types are added on the way
            self.entries.append(self._entry(self._waiting[len(self.entries)]))

    def _entry(self, number: int) -> Entry:
        found = self._btf.type(number)
        kind = _NAMED[found.kind]
        return Entry(
            kind, printable(found.name), title(self._btf, number), self._size(number), [*self._lines(number)], number
        )

    def _size(self, number: int) -> int:
        try:
            return self._btf.size_of(number)
        except SizeUnknown:
            return -1

    def _lines(self, number: int) -> Iterator[Line]:
        found = self._btf.type(number)
        if isinstance(found, kinds.Struct):
            yield from (self._of_row(row) for row in render.rows(self._btf, number))
        elif isinstance(found, kinds.Enum):
            for value in found.values:
                name = printable(value.name)
                yield Line("value", 1, name, name, str(value.value), "")
        elif isinstance(found, (kinds.Typedef, kinds.Func)):
            name = printable(found.name)
            text = render.declaration(self._btf, found.type, name)
            yield Line("declaration", 0, text, name, "", "", self._uses(found.type))

    def _of_row(self, row: render.Row) -> Line:
        if row.what in ("hole", "padding"):
            return Line(row.what, row.depth, "", "", _place(row), _width(row))
        if row.what == "open":
            return Line(row.what, row.depth, row.text, row.path, "", "")
        uses = self._uses(row.type) if row.what == "member" else ()
        return Line(row.what, row.depth, row.text, row.path, _place(row), _width(row), uses)

    def _uses(self, number: int) -> tuple[int, ...]:
        """Return the entries of the types that a declaration names; nameless ones get an entry."""
        found: dict[int, None] = {}
        waiting, steps = [number], 0
        seen: set[int] = set()
        while waiting and steps < _MOST_STEPS:
            steps += 1
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            kind = self._btf.type(at)
            if kind.kind in _NAMED and at >= self._btf.first:
                found[self._place(at)] = None
            elif isinstance(kind, kinds.FuncProto):
                waiting += [*(param.type for param in reversed(kind.params)), kind.type]
            elif isinstance(kind, (kinds.Ptr, kinds.Array, kinds.Modifier)):
                waiting.append(kind.type)
        return tuple(found)

    def _place(self, number: int) -> int:
        place = self._places.get(number)
        if place is None:
            place = self._places[number] = len(self._waiting)
            self._waiting.append(number)
        return place


def _place(row: render.Row) -> str:
    byte, bit = divmod(row.at, 8)
    return f"{byte}:{bit}" if row.bitfield or bit else str(byte)


def _width(row: render.Row) -> str:
    if not row.bits:
        return ""
    return f"{row.bits} bit{'s' if row.bits > 1 else ''}" if row.bitfield or row.bits % 8 else str(row.bits // 8)
