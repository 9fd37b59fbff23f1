"""What changed in a type between two kernels: members moved, renamed, resized, retyped, gone or new.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds
from everykernel.btf.naming import printable, title
from everykernel.btf.render import declaration
from everykernel.btf.types import SizeUnknown
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everykernel.btf.types import Btf

_COMPARED = ("struct", "union", "enum", "enum64", "typedef", "func")
_MAX_DEPTH = 32  # of anonymous structs in one another


class Change(NamedTuple):
    """One difference.

    Attributes:
        type: the type's title: ``struct task_struct``.
        member: the member's (or enumerator's) name, "" for the type itself.
        what: ``moved``, ``renamed``, ``resized``, ``retyped``, ``gone``, ``new`` or ``changed`` (an enum's value).
        before, after: what stood there, in words; "" where nothing did.
    """

    type: str
    member: str
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        name = f"{self.type}.{self.member}" if self.member else self.type
        return f"{name}: {self.what}" + (f": {self.before} -> {self.after}" if self.before and self.after else "")


class Field(NamedTuple):
    """One member seen from the outermost struct; ``offset`` and ``bits`` (0: no bitfield) are bits, ``size`` bytes."""

    name: str
    offset: int
    size: Optional[int]
    bits: int
    type: str

    @property
    def place(self) -> str:
        """The offset in words: bytes, and bits where it is not on a byte's edge."""
        whole, rest = divmod(self.offset, 8)
        return f"{whole}:{rest}" if rest or self.bits else str(whole)


def fields(btf: Btf, number: int) -> list[Field]:
    """Return the named members of a struct or union, those of anonymous ones in it included, in order."""
    found: list[Field] = []
    left = [4 * len(btf)]

    def walk(at: int, base: int, depth: int) -> None:
        struct = btf.type(btf.resolve(at))
        if not isinstance(struct, kinds.Struct) or depth > _MAX_DEPTH:
            return
        for member in struct.members:
            left[0] -= 1
            if left[0] < 0:
                return
            if member.name:
                words = declaration(btf, member.type)
                place = base + member.bit_offset
                found.append(Field(member.name, place, _size(btf, member.type), member.bit_size, words))
            else:
                walk(member.type, base + member.bit_offset, depth + 1)

    walk(number, 0, 0)
    return found


def compare(old: Btf, new: Btf, name: str) -> list[Change]:
    """Return what changed in the types called ``name`` (a bare name, or one with its kind: ``struct page``)."""
    kind, _, bare = name.rpartition(" ")
    wanted = (kind,) if kind in _COMPARED else _COMPARED
    changes: list[Change] = []
    for each in wanted:
        before, after = old.find(bare, each), new.find(bare, each)
        if before is not None and after is not None:
            changes.extend(between(old, before, new, after))
        elif before is not None and not (each in ("enum", "enum64") and _either_enum(new, bare)):
            changes.append(Change(title(old, before), "", "gone", title(old, before), ""))
        elif after is not None and not (each in ("enum", "enum64") and _either_enum(old, bare)):
            changes.append(Change(title(new, after), "", "new", "", title(new, after)))
    return changes


def everything(old: Btf, new: Btf) -> Iterator[Change]:
    """Yield what changed in every named struct, union and enum, in the order of their names."""
    names = set()
    for btf in (old, new):
        for _, found in btf:
            if found.name and found.kind in ("struct", "union", "enum", "enum64"):
                names.add(found.name)
    for name in sorted(names):
        yield from (c for c in compare(old, new, name) if not c.type.startswith(("typedef ", "func ")))


def known(btf: Btf, name: str) -> bool:
    """Tell whether a BTF has a type of this name that can be compared."""
    return bool(btf.find_all(name.rpartition(" ")[2], _COMPARED))


def _either_enum(btf: Btf, name: str) -> bool:
    return bool(btf.find_all(name, ("enum", "enum64")))


def _size(btf: Btf, number: int) -> Optional[int]:
    try:
        return btf.size_of(number)
    except SizeUnknown:
        return None


def between(old: Btf, before: int, new: Btf, after: int) -> Iterator[Change]:
    """Yield what changed from one type (a struct, union, enum, typedef or func) to another of its kind."""
    name = title(new, after)
    one, two = old.type(before), new.type(after)
    if isinstance(one, kinds.Struct) and isinstance(two, kinds.Struct):
        if one.size != two.size:
            yield Change(name, "", "resized", str(one.size), str(two.size))
        yield from _members(name, fields(old, before), fields(new, after))
    elif isinstance(one, kinds.Enum) and isinstance(two, kinds.Enum):
        yield from _values(name, dict(one.values), dict(two.values))
    else:
        here, there = (declaration(b, t.type, printable(t.name)) for b, t in ((old, one), (new, two)))  # type: ignore[union-attr]
        if here != there:
            yield Change(name, "", "retyped", here, there)


def _values(name: str, one: dict[str, int], two: dict[str, int]) -> Iterator[Change]:
    for value in one:
        if value not in two:
            yield Change(name, printable(value), "gone", str(one[value]), "")
        elif one[value] != two[value]:
            yield Change(name, printable(value), "changed", str(one[value]), str(two[value]))
    yield from (Change(name, printable(value), "new", "", str(two[value])) for value in two if value not in one)


def _members(name: str, one: list[Field], two: list[Field]) -> Iterator[Change]:
    old, new = {f.name: f for f in one}, {f.name: f for f in two}
    renamed = dict(_renamed(one, two))
    for before in one:
        after = new.get(before.name)
        if after is None:
            heir = renamed.get(before.name)
            if heir is None:
                yield Change(name, before.name, "gone", f"{before.type} at {before.place}", "")
            else:
                yield Change(name, before.name, "renamed", before.name, heir)
                yield from _moves(name, before, new[heir])
        else:
            yield from _moves(name, before, after)
    heirs = set(renamed.values())
    for after in two:
        if after.name not in old and after.name not in heirs:
            yield Change(name, after.name, "new", "", f"{after.type} at {after.place}")


def _moves(name: str, before: Field, after: Field) -> Iterator[Change]:
    if before.type != after.type:
        yield Change(name, before.name, "retyped", before.type, after.type)
    if (before.size, before.bits) != (after.size, after.bits):
        sizes = (f"{f.bits} bits" if f.bits else f"{f.size} bytes" for f in (before, after))
        yield Change(name, before.name, "resized", *sizes)
    if before.offset != after.offset:
        yield Change(name, before.name, "moved", before.place, after.place)


def _renamed(one: list[Field], two: list[Field]) -> Iterator[tuple[str, str]]:
    """Yield (old, new) names of members that seem renamed.

    Gone on one side, new on the other, and either the same name but for underscores at its ends, or the same size and
    the same member before them.
    """
    old, new = {f.name for f in one}, {f.name for f in two}
    arrived = {f.name: (_before(two, i), f.size) for i, f in enumerate(two) if f.name not in old}
    bare = {name.strip("_"): name for name in arrived}
    for index, field in enumerate(one):
        if field.name in new:
            continue
        place = (_before(one, index), field.size)
        heir = bare.get(field.name.strip("_")) or next((n for n, p in arrived.items() if p == place), None)
        if heir in arrived:
            del arrived[heir]
            yield field.name, heir


def _before(members: list[Field], index: int) -> str:
    """Return the name of the member before ``index``, "" for the first."""
    return members[index - 1].name if index else ""
