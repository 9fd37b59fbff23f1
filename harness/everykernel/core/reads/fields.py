"""What a field is, as far as the bytes that a program reads of it go: width, sign, bits, pointer; and where two differ.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds, render
from everykernel.btf.naming import printable
from everykernel.btf.types import SizeUnknown
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from everykernel.btf.types import Btf
    from everykernel.core.spec import Spec

NUMBER, POINTER, OTHER = "number", "pointer", "other"


class Form(NamedTuple):
    """A field's form.

    Attributes:
        what: `NUMBER` (integers and enums), `POINTER` or `OTHER` (structs, arrays, floats).
        size: bytes of its type; of an array, all of it.
        signed: of numbers; None where C leaves it to the compiler: char, and enums.
        bits: width of a bitfield, 0 for any other.
        bit: where it begins, in bits from the start of the root type.
        element: size of a number in an array (of its innermost dimension), 0 for anything else.
        type: the type without typedefs and qualifiers.
    """

    what: str
    size: int
    signed: Optional[bool]
    bits: int
    bit: int
    element: int
    type: int


def form(spec: Spec) -> Optional[Form]:
    """Return the form of the field that a path leads to; None where its type has no size."""
    btf, last = spec.btf, spec.accessors[-1]
    member = _member(spec)
    bits, number = (member.bit_size, member.type) if member is not None else (0, last.type)
    resolved = btf.resolve(number)
    found = btf.type(resolved)
    try:
        size = btf.size_of(resolved)
    except SizeUnknown:
        return None
    what, signed = OTHER, None
    if isinstance(found, (kinds.Int, kinds.Enum)):
        what = NUMBER
        if isinstance(found, kinds.Int) and not found.is_bool and found.name != "char":
            signed = found.signed
    elif isinstance(found, kinds.Ptr):
        what = POINTER
    return Form(what, size, signed, bits, spec.bit_offset, _element(btf, resolved), resolved)


def words(spec: Spec, form: Form) -> str:
    """Return a field's form for people: ``int on_cpu, 4 bytes``, ``u8 sk_userlocks:4, 4 bits at bit 4 of byte 521``."""
    member = _member(spec)
    if member is None:
        return f"{render.declaration(spec.btf, form.type)}, {_bytes(form.size)}"
    declared = render.declaration(spec.btf, member.type, printable(member.name))
    if form.bits:
        return f"{declared}:{form.bits}, {form.bits} bits at bit {form.bit % 8} of byte {form.bit // 8}"
    return f"{declared}, {_bytes(form.size)}"


def _bytes(size: int) -> str:
    return f"{size} byte{'' if size == 1 else 's'}"


def _member(spec: Spec) -> Optional[kinds.Member]:
    """Return the member that a path leads to, None for an element of an array."""
    last = spec.accessors[-1]
    if last.name is None:
        return None
    struct = spec.btf.type(last.type)
    assert isinstance(struct, kinds.Struct)
    return struct.members[last.step]


def _element(btf: Btf, number: int) -> int:
    """Return the size of the numbers that an array holds, 0 where it is none or holds something else."""
    found = btf.type(number)
    if not isinstance(found, kinds.Array):
        return 0
    for _ in range(btf.count):
        if not isinstance(found, kinds.Array):
            break
        found = btf.type(btf.resolve(found.type))
    return found.size if isinstance(found, (kinds.Int, kinds.Enum)) else 0


def differ(here: Form, there: Form) -> bool:
    """Whether reading one as the other may give something else, wherever the two are."""
    if (here.what, here.bits, here.element) != (there.what, there.bits, there.element) or _other_sign(here, there):
        return True
    if here.bits:
        return here.bit % 8 != there.bit % 8 or here.size != there.size
    return here.what != OTHER and here.size != there.size


def misread(here: Form, there: Form, size: int) -> bool:
    """Whether ``size`` bytes read as ``here``, a field without bits, mean something else, read of ``there``.

    Whoever reads fewer bytes than the field has meant to, and whoever reads more, too: both are let pass.
    """
    if here.bits or size != here.size:
        return False
    if here.what == OTHER:  # the bytes of an array: its elements count
        return bool(here.element and there.element and here.element != there.element)
    if there.bits:
        return there.bit % 8 != 0 or there.bits != 8 * size
    return here.what != there.what or here.size != there.size or _other_sign(here, there)


def _other_sign(here: Form, there: Form) -> bool:
    return None not in (here.signed, there.signed) and here.signed != there.signed
