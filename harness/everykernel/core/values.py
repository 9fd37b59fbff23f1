"""The value that a relocation stands for, in one BTF: an offset, a size, a shift, an id, an enumerator.

Follows libbpf 1.8's bpf_core_calc_field_relo, _type_relo and _enumval_relo.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import Optional

from everykernel.btf import kinds
from everykernel.btf.types import Btf
from everykernel.core import relokinds
from everykernel.core.refusal import Refused
from everykernel.core.spec import U32, Spec, size_of
from everykernel.dataclass import dataclass

U64 = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True)
class Value:
    """A relocation's value in one BTF.

    Attributes:
        number: the value, 64 bits, or None: unresolved, poison the instruction.
        exact: whether the instruction must hold this value before it is patched.
        size: bytes that a load or store of the field moves; 0 where that is not known.
        type: the field's type id, for the rules of changing that size; 0 where not known.
    """

    number: Optional[int]
    exact: bool = True
    size: int = 0
    type: int = 0


def value(kind: int, spec: Optional[Spec]) -> Value:
    """Return the value of a path that was found, or (None) of one that was not; raise Refused where libbpf does."""
    if kind in relokinds.FIELD_BASED:
        return _field(kind, spec)
    if kind in relokinds.TYPE_BASED:
        if spec is None:
            return Value(0)
        if kind == relokinds.TYPE_SIZE:
            return Value(size_of(spec.btf, spec.root))
        if kind == relokinds.TYPE_ID_TARGET:
            return Value(spec.root, exact=False)  # linking changes type ids, not instructions
        return Value(1)
    if kind == relokinds.ENUMVAL_EXISTS:
        return Value(0 if spec is None else 1)
    return Value(None) if spec is None else Value(_enumerator(spec))


def _enumerator(spec: Spec) -> int:
    accessor = spec.accessors[0]
    enum = spec.btf.type(accessor.type)
    assert isinstance(enum, kinds.Enum)
    number = enum.values[accessor.step].value
    if enum.kind == "enum":  # libbpf reads 32-bit enumerators as signed, whatever the enum's flag says
        number &= U32
        number = number - (1 << 32) if number >> 31 else number
    return number & U64


def _field(kind: int, spec: Optional[Spec]) -> Value:
    if kind == relokinds.FIELD_EXISTS:
        return Value(0 if spec is None else 1)
    if spec is None:
        return Value(None)
    accessor = spec.accessors[-1]
    if accessor.name is None:
        if kind == relokinds.FIELD_BYTE_OFFSET:
            return Value(spec.bit_offset // 8, size=_element_size(spec.btf, accessor.type), type=accessor.type)
        if kind == relokinds.FIELD_BYTE_SIZE:
            return Value(size_of(spec.btf, accessor.type))
        raise Refused(f"{relokinds.name(kind)} cannot be applied to an array element")
    struct = spec.btf.type(accessor.type)
    assert isinstance(struct, kinds.Struct)
    member = struct.members[accessor.step]
    number = spec.btf.resolve(member.type)
    if member.bit_size:
        return _bitfield(kind, spec, member.bit_size, number)
    if kind == relokinds.FIELD_BYTE_OFFSET:
        size_of(spec.btf, number)  # a field without a size is refused
        return Value(spec.bit_offset // 8, size=_element_size(spec.btf, number), type=number)
    size = size_of(spec.btf, number)
    if kind == relokinds.FIELD_BYTE_SIZE:
        return Value(size)
    if kind == relokinds.FIELD_SIGNED:
        return Value(_signed(spec.btf, number))
    bits = size * 8
    if kind == relokinds.FIELD_LSHIFT_U64:
        return Value(_left_shift(spec, bits, spec.bit_offset // 8, size))
    return Value(64 - bits & U32)


def _bitfield(kind: int, spec: Spec, bits: int, number: int) -> Value:
    """Return a bitfield's value: it is read by the smallest aligned load that covers it, at most 64 bits wide.

    The compiler may have chosen another load, so the instruction's old value is not checked; signedness and the right
    shift are never in doubt.
    """
    size = _stored_size(spec.btf, number)
    start = spec.bit_offset
    offset = start // 8 // size * size
    while start + bits - offset * 8 > size * 8:
        if size >= 8:
            raise Refused(f"its {bits} bits at bit {start} do not fit into one 64-bit load", errno="E2BIG")
        size *= 2
        offset = start // 8 // size * size
    if kind == relokinds.FIELD_BYTE_OFFSET:
        return Value(offset, exact=False)
    if kind == relokinds.FIELD_BYTE_SIZE:
        return Value(size, exact=False)
    if kind == relokinds.FIELD_SIGNED:
        return Value(_signed(spec.btf, number))
    if kind == relokinds.FIELD_LSHIFT_U64:
        return Value(_left_shift(spec, bits, offset, size), exact=False)
    return Value(64 - bits & U32)


def _left_shift(spec: Spec, bits: int, offset: int, size: int) -> int:
    """Return the shift that drops what is above the field, once it was loaded zero-extended into 64 bits."""
    within = spec.bit_offset - offset * 8
    if spec.btf.byteorder == "little":
        return 64 - (within + bits) & U32
    return (8 - size) * 8 + within & U32


def _stored_size(btf: Btf, number: int) -> int:
    found = btf.type(number)
    size = found.size if isinstance(found, (kinds.Int, kinds.Enum, kinds.Struct, kinds.Float)) else 0
    if not size:
        raise Refused(f"a bitfield's type is a {found.kind} without a size")
    return size


def _signed(btf: Btf, number: int) -> int:
    found = btf.type(number)
    return int(isinstance(found, (kinds.Int, kinds.Enum)) and found.signed)


def _element_size(btf: Btf, number: int) -> int:
    """Return the size of what a load moves: of an array, one element of its innermost dimension."""
    number = btf.resolve(number)
    for _ in range(btf.count):
        found = btf.type(number)
        if not isinstance(found, kinds.Array):
            return size_of(btf, number)
        number = btf.resolve(found.type)
    raise Refused("its array type contains itself")
