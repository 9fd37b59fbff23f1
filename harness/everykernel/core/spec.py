"""What a record asks for: the path from a root type to a field, as numbers and as names.

An access string ``0:1:2`` has a number for each step: an array index, or a member's position. Of these, the steps that
mean something in another BTF (named members, array indices) become accessors; members of anonymous structs are looked
for by name. Follows libbpf 1.8's bpf_core_parse_spec and its limits.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds
from everykernel.btf.naming import printable, title
from everykernel.btf.types import Btf, SizeUnknown
from everykernel.core import relokinds
from everykernel.core.refusal import Refused
from everykernel.dataclass import dataclass, field
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from everykernel.btf.ext import CoreRecord

MAX_LENGTH = 64  # steps in a path: libbpf's BPF_CORE_SPEC_MAX_LEN
U32 = 0xFFFFFFFF

# What C's "%d" takes, after one optional colon: libbpf reads the string with sscanf.
_STEP = re.compile(r":?[ \t\n\v\f\r]*([+-]?[0-9]+)")


class Accessor(NamedTuple):
    """One meaningful step: member ``name`` at position ``step`` of struct ``type``, or (no name) element ``step``."""

    type: int
    step: int
    name: Optional[str]


@dataclass
class Spec:
    """A path through the types of one BTF; ``raw`` counts every step, ``bit_offset`` is where it leads (32 bits).

    ``stray``: ``raw`` and ``bit_offset`` hold steps to a member of the right name and the wrong type as well.
    """

    btf: Btf
    root: int
    kind: int
    accessors: list[Accessor] = field(default_factory=list)
    raw: list[int] = field(default_factory=list)
    bit_offset: int = 0
    stray: bool = False


def parse(record: CoreRecord, btf: Btf) -> Spec:
    """Return the path that a record names in the object's own BTF; raise Refused where libbpf does."""
    spec = Spec(btf, record.type_id, record.kind)
    if not record.access:
        raise Refused("the record has no access string")
    if record.kind in relokinds.TYPE_BASED:
        if record.access != "0":
            raise Refused(f"the access string {record.access!r} of a type is not '0'")
        return spec
    spec.raw = steps(record.access)
    root = btf.resolve(record.type_id)
    first = spec.raw[0]
    if record.kind in relokinds.ENUMVAL_BASED:
        found = btf.type(root)
        if not isinstance(found, kinds.Enum):
            raise Refused(f"the root of an enum value is a {found.kind}")
        if len(spec.raw) > 1 or first >= len(found.values):
            raise Refused(f"the access string {record.access!r} names no value of an enum of {len(found.values)}")
        spec.accessors.append(Accessor(root, first, found.values[first].name))
        return spec
    if record.kind not in relokinds.FIELD_BASED:
        raise Refused(f"relocation kind {record.kind} is not known")
    spec.accessors.append(Accessor(root, first, None))
    spec.bit_offset = first * size_of(btf, root) * 8 & U32
    at = root
    for step in spec.raw[1:]:
        at = _follow(spec, at, step)
    return spec


def _follow(spec: Spec, at: int, step: int) -> int:
    """Take one step from type ``at`` and return the type it leads to."""
    btf = spec.btf
    at = btf.resolve(at)
    found = btf.type(at)
    if isinstance(found, kinds.Struct):
        if step >= len(found.members):
            raise Refused(f"member {step} of {title(btf, at)} does not exist (it has {len(found.members)})")
        member = found.members[step]
        spec.bit_offset = spec.bit_offset + member.bit_offset & U32
        if member.name:
            spec.accessors.append(Accessor(at, step, member.name))
        return member.type
    if isinstance(found, kinds.Array):
        element = btf.resolve(found.type)
        if step >= found.count and not is_flexible(btf, spec.accessors[-1], found):
            raise Refused(f"element {step} is past an array of {found.count}")
        spec.accessors.append(Accessor(element, step, None))
        spec.bit_offset = spec.bit_offset + step * size_of(btf, element) * 8 & U32
        return element
    raise Refused(f"the access goes into a {found.kind}")


def steps(access: str) -> list[int]:
    """Return the numbers of an access string; raise Refused where C's sscanf stops, or for more than 64 steps."""
    numbers: list[int] = []
    at = 0
    if access.startswith(":"):
        raise Refused(f"the access string {access!r} starts with a colon")
    while at < len(access):
        found = _STEP.match(access, at)
        if not found:
            raise Refused(f"the access string {access!r} is no list of numbers")
        # sscanf reads a long, and keeps its low 32 bits.
        value = min(int(found[1][:24]), (1 << 63) - 1) & U32
        if value >> 31 or (value and found[1].startswith("-")):
            raise Refused(f"the access string {access!r} has a negative number")
        if len(numbers) == MAX_LENGTH:
            raise Refused(f"the access string has more than {MAX_LENGTH} steps")
        numbers.append(value)
        at = found.end()
    return numbers


def is_flexible(btf: Btf, accessor: Accessor, array: kinds.Array) -> bool:
    """Whether an array reached by this accessor is a flexible one: no elements, and the last member of its struct."""
    if accessor.name is None or array.count > 0:
        return False
    struct = btf.type(accessor.type)
    return isinstance(struct, kinds.Struct) and accessor.step == len(struct.members) - 1


def size_of(btf: Btf, number: int) -> int:
    """Return a type's size; raise Refused if it has none."""
    try:
        return btf.size_of(number)
    except SizeUnknown as e:
        raise Refused(str(e)) from e


def text(spec: Spec) -> str:
    """Return a path as C writes it: ``struct task_struct.mm``, ``struct x[1].a[2].b``, ``enum e::VALUE``."""
    start = title(spec.btf, spec.root)
    if spec.kind in relokinds.ENUMVAL_BASED:
        return f"{start}::{printable(spec.accessors[0].name or '')}" if spec.accessors else start
    parts = [start]
    for position, accessor in enumerate(spec.accessors):
        if accessor.name is not None:
            parts.append("." + printable(accessor.name))
        elif position or accessor.step:
            parts.append(f"[{accessor.step}]")
    return "".join(parts)
