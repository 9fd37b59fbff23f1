"""When two types of two BTFs may stand for each other: three relations, from libbpf 1.8.

`fields_compatible` decides whether a field of the same name is the field that was meant, `types_compatible` whether a
root type of the same name exists (type_exists, type_size, type ids), `types_match` is the strict one (type_matches).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds
from everykernel.btf.index import essential
from everykernel.core.refusal import Refused

if TYPE_CHECKING:
    from everykernel.btf.types import Btf

MAX_DEPTH = 32  # of recursion and of chains of pointers and arrays: libbpf's
_BUDGET = 300_000  # pairs of types that one comparison looks at: libbpf has no such bound, and can be made to hang
_ENUMS = frozenset({kinds.ENUM, kinds.ENUM64})
_COMPOSITES = frozenset({kinds.STRUCT, kinds.UNION})
_TERMINAL = frozenset({kinds.VOID, kinds.STRUCT, kinds.UNION, kinds.ENUM, kinds.FWD, kinds.ENUM64})


def kinds_compatible(local: int, target: int) -> bool:
    """Whether two kinds are the same; enum and enum64 count as one."""
    return local == target or (local in _ENUMS and target in _ENUMS)


def fields_compatible(local: Btf, local_id: int, target: Btf, target_id: int, *, elements: bool = True) -> bool:
    """Whether a field of one type can be read as the other (bpf_core_fields_are_compat).

    Structs and unions mix, so do all pointers, and all integers; enums and forward declarations need the same name
    (less flavours) unless one has none; arrays are compared by their ``elements``, or are all alike.
    """
    for _ in range(local.count + target.count):
        local_id, target_id = local.resolve(local_id), target.resolve(target_id)
        kind, other = local.kind(local_id), target.kind(target_id)
        if kind in _COMPOSITES and other in _COMPOSITES:
            return True
        if not kinds_compatible(kind, other):
            return False
        if kind in (kinds.PTR, kinds.FLOAT) or (kind == kinds.ARRAY and not elements):
            return True
        ours, theirs = local.type(local_id), target.type(target_id)
        if isinstance(ours, kinds.Array) and isinstance(theirs, kinds.Array):
            local_id, target_id = ours.type, theirs.type
            continue
        if isinstance(ours, kinds.Int) and isinstance(theirs, kinds.Int):
            return ours.offset == 0 and theirs.offset == 0
        if kind in _ENUMS or kind == kinds.FWD:
            mine, other_name = essential(ours.name), essential(theirs.name)
            return not mine or not other_name or mine == other_name
        return False
    raise Refused("its array type contains itself")


def types_compatible(local: Btf, local_id: int, target: Btf, target_id: int, level: int = MAX_DEPTH) -> bool:
    """Whether two root types of the same name are the same kind of thing (bpf_core_types_are_compat)."""
    return _Compatible(local, target).check(local_id, target_id, level)


class _Compatible:
    """One comparison; the budget bounds what a hostile BTF can make it do."""

    def __init__(self, local: Btf, target: Btf) -> None:
        self.local, self.target = local, target
        self.budget = _BUDGET

    def check(self, local_id: int, target_id: int, level: int) -> bool:
        local, target = self.local, self.target
        if not kinds_compatible(local.kind(local_id), target.kind(target_id)):
            return False
        for _ in range(MAX_DEPTH):
            self.budget -= 1
            if self.budget < 0:
                raise Refused("its type is too large to compare")
            local_id, target_id = local.resolve(local_id), target.resolve(target_id)
            kind = local.kind(local_id)
            if not kinds_compatible(kind, target.kind(target_id)):
                return False
            if kind in _TERMINAL:
                return True
            ours, theirs = local.type(local_id), target.type(target_id)
            if isinstance(ours, kinds.Int) and isinstance(theirs, kinds.Int):
                return ours.offset == 0 and theirs.offset == 0
            if isinstance(ours, kinds.FuncProto) and isinstance(theirs, kinds.FuncProto):
                if len(ours.params) != len(theirs.params):
                    return False
                for mine, other in zip(ours.params, theirs.params):
                    if level <= 0:
                        raise Refused(f"its type nests more than {MAX_DEPTH} levels deep")
                    if not self.check(local.resolve(mine.type), target.resolve(other.type), level - 1):
                        return False
            elif not isinstance(ours, (kinds.Ptr, kinds.Array)):
                return False
            local_id, target_id = ours.type, theirs.type  # type: ignore[union-attr]
        raise Refused(f"its type nests more than {MAX_DEPTH} levels deep")


def types_match(local: Btf, local_id: int, target: Btf, target_id: int) -> bool:
    """Whether two root types of the same name match in depth (bpf_core_types_match)."""
    return _Match(local, target).check(local_id, target_id, False, MAX_DEPTH)


class _Match:
    """One comparison in depth.

    What a pair of types came to with few levels left, it comes to with more: such verdicts are kept, so that types
    that hold one another many times are compared once.
    """

    def __init__(self, local: Btf, target: Btf) -> None:
        self.local, self.target = local, target
        self.budget = _BUDGET
        self.verdicts: dict[tuple[int, int, bool], tuple[int, bool]] = {}

    def check(self, local_id: int, target_id: int, behind_pointer: bool, level: int) -> bool:
        if level <= 0:
            raise Refused(f"its type nests more than {MAX_DEPTH} levels deep")
        key = (local_id, target_id, behind_pointer)
        known = self.verdicts.get(key)
        if known is None or level < known[0]:
            known = self.verdicts[key] = (level, self._follow(local_id, target_id, behind_pointer, level))
        return known[1]

    def _follow(self, local_id: int, target_id: int, behind_pointer: bool, level: int) -> bool:
        local, target = self.local, self.target
        for _ in range(MAX_DEPTH):
            self.budget -= 1
            if self.budget < 0:
                raise Refused("its type is too large to compare")
            local_id, target_id = local.resolve(local_id), target.resolve(target_id)
            ours, theirs = local.type(local_id), target.type(target_id)
            if not _names_match(ours.name, theirs.name):
                return False
            verdict = self._at_this_level(ours, theirs, behind_pointer, level)
            if verdict is not None:
                return verdict
            behind_pointer = behind_pointer or isinstance(ours, kinds.Ptr)
            local_id, target_id = ours.type, theirs.type  # type: ignore[union-attr]
        raise Refused(f"its type nests more than {MAX_DEPTH} levels deep")

    def _at_this_level(self, ours: kinds.Type, theirs: kinds.Type, behind_pointer: bool, level: int) -> Optional[bool]:
        """Return the verdict, or None where it is that of the types referred to."""
        if isinstance(ours, kinds.Void):
            return isinstance(theirs, kinds.Void)
        if isinstance(ours, kinds.Fwd):
            if isinstance(theirs, kinds.Fwd):
                return ours.union == theirs.union
            return behind_pointer and theirs.kind == ("union" if ours.union else "struct")
        if isinstance(ours, kinds.Enum):
            return isinstance(theirs, kinds.Enum) and self._enums(ours, theirs)
        if isinstance(ours, kinds.Struct):
            if not behind_pointer:
                return ours.kind == theirs.kind and self._members(ours, theirs, level)
            if isinstance(theirs, kinds.Fwd):
                return (ours.kind == "union") == theirs.union
            return ours.kind == theirs.kind
        if isinstance(ours, kinds.Int):
            return isinstance(theirs, kinds.Int) and ours.size == theirs.size and ours.signed == theirs.signed
        if isinstance(ours, kinds.Ptr):
            return None if isinstance(theirs, kinds.Ptr) else False
        if isinstance(ours, kinds.Array):
            return None if isinstance(theirs, kinds.Array) and ours.count == theirs.count else False
        if isinstance(ours, kinds.FuncProto) and isinstance(theirs, kinds.FuncProto):
            if len(ours.params) != len(theirs.params):
                return False
            for mine, other in zip(ours.params, theirs.params):
                if not self.check(mine.type, other.type, behind_pointer, level - 1):
                    return False
            return None
        return False  # floats too: libbpf 1.7 and 1.8 have no rule for them

    def _enums(self, ours: kinds.Enum, theirs: kinds.Enum) -> bool:
        if ours.size != theirs.size or len(ours.values) > len(theirs.values):
            return False
        names = {essential(value.name) for value in theirs.values}
        return all(essential(value.name) in names for value in ours.values)

    def _members(self, ours: kinds.Struct, theirs: kinds.Type, level: int) -> bool:
        if not isinstance(theirs, kinds.Struct) or len(ours.members) > len(theirs.members):
            return False
        by_name: dict[str, list[int]] = {}
        for member in theirs.members:
            by_name.setdefault(essential(member.name), []).append(member.type)
        for member in ours.members:
            candidates = by_name.get(essential(member.name), ())
            if not any(self.check(member.type, other, False, level - 1) for other in candidates):
                return False
        return True


def _names_match(local: str, target: str) -> bool:
    return essential(local) == essential(target)
