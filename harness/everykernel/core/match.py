"""The path of a record followed in a candidate of the target: member by member by name, element by element by index.

Follows libbpf 1.8's bpf_core_spec_match and bpf_core_match_member to the letter, including what they leave behind when
an anonymous member holds the right name with the wrong type. A path that leads nowhere is a `Miss`, which says why.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import Optional, Union

from everykernel.btf import kinds
from everykernel.btf.index import essential
from everykernel.btf.naming import printable, title
from everykernel.btf.types import Btf
from everykernel.core import compat, relokinds
from everykernel.core.refusal import Refused
from everykernel.core.spec import MAX_LENGTH, U32, Accessor, Spec, is_flexible, size_of


class Miss(str):
    """Why a candidate does not match."""

    __slots__ = ()


def match(local: Spec, target: Btf, number: int, *, elements: bool = True) -> Union[Spec, Miss]:
    """Return the path in type ``number`` of the target that corresponds to a local one.

    ``elements``: whether arrays of the same name have to hold the same kind of thing.

    Raises Refused where libbpf fails the object.
    """
    if local.kind in relokinds.TYPE_BASED:
        relation = compat.types_match if local.kind == relokinds.TYPE_MATCHES else compat.types_compatible
        if relation(local.btf, local.root, target, number):
            return Spec(target, number, local.kind)
        return Miss(f"{title(target, number)} is another type")
    if local.kind in relokinds.ENUMVAL_BASED:
        return _enum_value(local, target, number)
    found = Spec(target, number, local.kind)
    at = number
    for position, accessor in enumerate(local.accessors):
        at = target.resolve(at)
        if accessor.name is not None:
            member = _Search(local.btf, accessor, found, elements).member(at)
            if isinstance(member, Miss):
                return member
            at = member
            continue
        if position:
            array = target.type(at)
            if not isinstance(array, kinds.Array):
                return Miss(f"{_last(found)} is no array")
            if accessor.step >= array.count and not is_flexible(target, found.accessors[-1], array):
                return Miss(f"{_last(found)} has {array.count} elements")
            at = target.resolve(array.type)
        if len(found.raw) == MAX_LENGTH:
            raise Refused(f"the target's types nest more than {MAX_LENGTH} levels deep", errno="E2BIG")
        found.accessors.append(Accessor(at, accessor.step, None))
        found.raw.append(accessor.step)
        size = size_of(target, at)
        if size >> 31:  # libbpf keeps it in an int
            raise Refused(f"{title(target, at)} takes more than 2 GiB", errno="E2BIG")
        found.bit_offset = found.bit_offset + accessor.step * size * 8 & U32
    return found


def _last(spec: Spec) -> str:
    accessor = spec.accessors[-1]
    return f"member {printable(accessor.name)!r}" if accessor.name is not None else f"element {accessor.step}"


def _enum_value(local: Spec, target: Btf, number: int) -> Union[Spec, Miss]:
    wanted = essential(local.accessors[0].name or "")
    root = target.resolve(number)
    enum = target.type(root)
    if not isinstance(enum, kinds.Enum):
        return Miss(f"{title(target, number)} is no enum")
    for index, value in enumerate(enum.values):
        if essential(value.name) == wanted:
            return Spec(target, number, local.kind, [Accessor(root, index, value.name)], [index])
    return Miss(f"{title(target, number)} has no value {printable(wanted)!r}")


class _Search:
    """The search for one named member, through anonymous structs and unions; grows ``spec`` as it goes."""

    def __init__(self, local: Btf, accessor: Accessor, spec: Spec, elements: bool) -> None:
        self.local = local
        self.elements = elements
        self.spec = spec
        struct = local.type(accessor.type)
        assert isinstance(struct, kinds.Struct)
        self.wanted = struct.members[accessor.step]
        self.next = 0
        self.miss: Optional[Miss] = None
        # Depths at which a struct was searched in vain: libbpf searches it again, to the same end.
        self.vain: dict[int, int] = {}

    def member(self, number: int) -> Union[int, Miss]:
        """Return the type of the member that was found in struct ``number``, or why there is none."""
        if self._search(number):
            return self.next
        name = printable(self.wanted.name)
        return self.miss or Miss(f"{title(self.spec.btf, number)} has no member {name!r}")

    def _search(self, number: int) -> bool:
        spec, target, name = self.spec, self.spec.btf, self.wanted.name
        number = target.resolve(number)
        struct = target.type(number)
        if not isinstance(struct, kinds.Struct):
            return False
        depth = len(spec.raw)
        if self.vain.get(number, -1) >= depth:
            return False
        leaked = self.miss
        for index, member in enumerate(struct.members):
            if len(spec.raw) == MAX_LENGTH:
                raise Refused(f"the target's types nest more than {MAX_LENGTH} levels deep", errno="E2BIG")
            if member.name == name:
                spec.bit_offset = spec.bit_offset + member.bit_offset & U32
                spec.raw.append(index)
                return self._accept(number, index, member)
            if not member.name:
                spec.bit_offset = spec.bit_offset + member.bit_offset & U32
                spec.raw.append(index)
                if self._search(member.type):
                    return True
                spec.bit_offset = spec.bit_offset - member.bit_offset & U32
                spec.raw.pop()
        if self.miss is leaked:
            self.vain[number] = depth
        return False

    def _accept(self, number: int, index: int, member: kinds.Member) -> bool:
        """Take a member of the right name if its type fits.

        If not, its struct is searched no further, and libbpf does not take its step and offset back: neither do we.
        """
        spec = self.spec
        self.next = member.type
        wanted = self.wanted.type
        if compat.fields_compatible(self.local, wanted, spec.btf, member.type, elements=self.elements):
            spec.accessors.append(Accessor(number, index, member.name))
            return True
        spec.stray = True
        there, here = (
            title(spec.btf, spec.btf.resolve(member.type)),
            title(self.local, self.local.resolve(self.wanted.type)),
        )
        self.miss = Miss(f"{title(spec.btf, number)} has member {printable(member.name)!r} as {there}, not as {here}")
        return False
