"""Under which name a kernel may have a member that it lacks.

What the object itself reads comes first, then what stands in the same place as in kernels that have the member, then
what is called like it. Each has to be of a type that fits, and the last two are guesses and say so.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds
from everykernel.btf.index import essential
from everykernel.btf.naming import printable, title
from everykernel.core import idioms, relokinds
from everykernel.core.idioms import Rename
from everykernel.core.match import Miss, match
from everykernel.core.refusal import Refused
from everykernel.core.spec import Accessor, Spec
from everykernel.errors import BtfMalformed
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from everykernel.btf import Btf
    from everykernel.core.candidates import Target

_MOST = 4000  # members of one struct that are looked at
_DEPTH = 8  # of anonymous structs in one another
_SHORT = 3  # letters of a name that says nothing by standing inside another


class Lacking(NamedTuple):
    """A struct of the kernel that lacks a member: where on the path that is.

    Attributes:
        prefix: names of the members on the way from the root type to the struct.
        wanted: the missing step.
        btf, struct: the struct of the kernel.
        leaf: C type of what the whole path leads to in the object, "" if that is no number or pointer.
        words: those of the name of what it leads to.
    """

    prefix: tuple[str, ...]
    wanted: Accessor
    btf: Btf
    struct: int
    leaf: str
    words: frozenset[str]


class Found(NamedTuple):
    """A likely name, its declaration in the kernel, and why it is offered."""

    rename: Rename
    declared: str
    why: str


_Place = tuple["Btf", int]  # a struct


class _Named(NamedTuple):
    name: str
    type: int
    bits: int


def find(spec: Spec, lacking: Lacking, others: Sequence[Target]) -> Optional[Found]:
    """Return the likeliest name for a missing member; None where neither type nor neighbourhood speak for any.

    Args:
        spec: the whole path in the object.
        lacking: where it ends in this kernel.
        others: further kernels, of which some may have the member.
    """
    if not lacking.leaf:
        return None
    having = [there for there in (_having(spec, lacking, other) for other in others) if there is not None]
    known = [{m.name for m in _members(*there)} for there in having]
    new = [
        m
        for m in _members(lacking.btf, lacking.struct)
        if _fits(lacking, m) and not any(m.name in names for names in known)
    ]
    return (
        _own(spec, lacking, new)
        or _underscores(lacking, new)
        or _in_place(lacking, new, having)
        or _embedded(lacking, having)
        or _alike(lacking, new)
    )


def _own(spec: Spec, lacking: Lacking, new: Sequence[_Named]) -> Optional[Found]:
    """Return a member that the object declares in another type of the same name, and the kernel has."""
    local, root = spec.btf, spec.root
    if lacking.prefix:
        return None
    there = {m.name: m for m in new}
    here = {m.name for m in _members(local, root)}
    for number in local.own_candidates(essential(local.name_of(root))):
        if number == root or local.kind(number) != local.kind(root):
            continue
        for member in _members(local, number):
            if member.name in there and member.name not in here:
                words = title(local, number)
                return _found(lacking, there[member.name], f"the object reads it through {words}", own=words)
    return None


def _underscores(lacking: Lacking, new: Sequence[_Named]) -> Optional[Found]:
    wanted = (lacking.wanted.name or "").strip("_")
    found = [m for m in new if m.name.strip("_") == wanted]
    return _found(lacking, found[0], "the same name with other underscores") if found else None


def _embedded(lacking: Lacking, having: Sequence[_Place]) -> Optional[Found]:
    """Return the member of the same name in an embedded struct that has none of it in kernels with the member."""
    wanted, found = lacking.wanted.name or "", []
    before = {
        outer.name
        for btf, number in having
        for outer in _members(btf, number)
        if any(m.name == wanted for m in _members(btf, outer.type))
    }
    for outer in _members(lacking.btf, lacking.struct):
        for member in _members(lacking.btf, outer.type):
            named = outer.name.isidentifier() and outer.name not in before
            if member.name == wanted and named and _fits(lacking, member):
                found.append((outer, member))
    if len(found) > 1:  # a struct that was there without it says more than one that came with it
        old = {m.name for place in having for m in _members(*place)}
        found = [pair for pair in found if pair[0].name in old]
    if len(found) != 1:
        return None
    outer, member = found[0]
    inner = lacking._replace(prefix=(*lacking.prefix, outer.name))
    return _found(inner, member, f"the same name, in {printable(outer.name)}: a guess")


def _in_place(lacking: Lacking, new: Sequence[_Named], having: Sequence[_Place]) -> Optional[Found]:
    """Return the one new member that stands between the neighbours that the missing one has where it is there."""
    order = [m.name for m in _members(lacking.btf, lacking.struct)]
    for place in having:
        names = [m.name for m in _members(*place)]
        at = names.index(lacking.wanted.name or "")
        before, after = names[at - 1 : at], next((n for n in names[at + 1 :] if n in order), "")
        if not before or before[0] not in order or not after:
            continue  # its neighbours changed as well: that says nothing
        between = order[order.index(before[0]) + 1 : order.index(after)]
        found = [m for m in new if m.name in between]
        if len(found) == 1:
            return _found(
                lacking, found[0], f"in its place, between {printable(before[0])} and {printable(after)}: a guess"
            )
    return None


def _alike(lacking: Lacking, new: Sequence[_Named]) -> Optional[Found]:
    wanted = lacking.wanted.name or ""
    alike = [m for m in new if min(len(m.name), len(wanted)) > _SHORT and _holds(m.name, wanted)]
    if len(alike) > 1:  # i_ctime_sec and i_ctime_nsec: the one that is called like what is read of the missing member
        alike = [m for m in alike if (set(m.name.split("_")) - set(wanted.split("_"))) & lacking.words]
    if len(alike) == 1:
        return _found(lacking, alike[0], "a name like it, and a type that fits: a guess")
    return None


def _holds(name: str, wanted: str) -> bool:
    """Whether one name is the other with words added: i_ctime, i_ctime_sec."""
    return f"_{wanted}_" in f"_{name}_" or f"_{name}_" in f"_{wanted}_"


def _found(lacking: Lacking, member: _Named, why: str, *, own: str = "") -> Found:
    from everykernel.btf import render

    declared = render.declaration(lacking.btf, member.type, printable(member.name))
    path = (*lacking.prefix, printable(member.name))
    rename = Rename(path, idioms.scalar(lacking.btf, member.type), bool(member.bits), own)
    return Found(rename, declared, why)


def _fits(lacking: Lacking, member: _Named) -> bool:
    """Whether a member is a number where a number is meant, a pointer where a pointer is."""
    declared = idioms.scalar(lacking.btf, member.type)
    return bool(declared) and declared.startswith("__") == lacking.leaf.startswith("__") and member.name.isidentifier()


def _having(spec: Spec, lacking: Lacking, other: Target) -> Optional[_Place]:
    """Return the same struct in a kernel that has the missing member, None of any other."""
    position = spec.accessors.index(lacking.wanted)
    part = Spec(spec.btf, spec.root, relokinds.FIELD_EXISTS, spec.accessors[: position + 1])
    try:
        for candidate in other.candidates(spec.btf, spec.root):
            found = match(part, candidate.btf, candidate.number)
            if not isinstance(found, Miss):
                holder = _holder(found)
                there = any(m.name == lacking.wanted.name for m in _members(candidate.btf, holder))
                return (candidate.btf, holder) if there else None
    except (Refused, BtfMalformed):
        pass
    return None


def _holder(found: Spec) -> int:
    """Return the struct that holds the last step, the outermost where that is anonymous."""
    number = found.root
    for accessor in found.accessors[1:-1]:
        struct = found.btf.type(accessor.type)
        number = struct.members[accessor.step].type if isinstance(struct, kinds.Struct) else accessor.type
    return found.btf.resolve(number)


def _members(btf: Btf, number: int) -> Iterator[_Named]:
    """Yield the named members of a struct in order, those of anonymous ones in their place."""
    left = [_MOST]

    def walk(at: int, depth: int) -> Iterator[_Named]:
        struct = btf.type(btf.resolve(at))
        if not isinstance(struct, kinds.Struct) or depth > _DEPTH:
            return
        for member in struct.members:
            left[0] -= 1
            if left[0] < 0:
                return
            if member.name:
                yield _Named(member.name, member.type, member.bit_size)
            else:
                yield from walk(member.type, depth + 1)

    return walk(number, 0)
