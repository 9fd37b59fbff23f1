"""Relocations of bitfields: the load that covers them, and the shifts that cut them out."""

from __future__ import annotations

import pytest
from tests.btfwriter import Writer
from tests.core.relocating import load, mov, relocate

from everykernel.core import relokinds as rk

PROPERTIES = (rk.FIELD_BYTE_OFFSET, rk.FIELD_BYTE_SIZE, rk.FIELD_SIGNED, rk.FIELD_LSHIFT_U64, rk.FIELD_RSHIFT_U64)


def field(start: int, bits: int, *, size: int = 4, signed: bool = False, big: bool = False) -> Writer:
    writer = Writer(big=big)
    number = writer.integer("int", size, signed=signed)
    writer.struct("s", 64, [("a", number, start, bits)])
    return writer


@pytest.mark.parametrize(
    ("start", "bits", "size", "expected"),
    [
        (3, 5, 4, (0, 4, 0, 56, 59)),
        (35, 5, 4, (4, 4, 0, 56, 59)),
        (30, 4, 4, (0, 8, 0, 30, 60)),  # crosses a storage unit: the load is widened
        (13, 7, 1, (0, 4, 0, 44, 57)),  # 1 byte, then 2, then 4 are tried
        (64, 64, 8, (8, 8, 0, 0, 0)),
    ],
)
def test_bitfield(start: int, bits: int, size: int, expected: tuple[int, ...]) -> None:
    """Offset, size, signedness and shifts are those of the smallest aligned load that covers the field."""
    local, target = field(0, 1), field(start, bits, size=size)
    assert (
        tuple(
            relocate(local, target, 2, "0:0", kind, mov(63 if kind == rk.FIELD_RSHIFT_U64 else 0)).target
            for kind in PROPERTIES
        )
        == expected
    )


def test_signed_bitfield() -> None:
    """A signed bitfield says so."""
    local, target = field(0, 3, signed=True), field(7, 3, signed=True)
    assert relocate(local, target, 2, "0:0", rk.FIELD_SIGNED, mov(1)).target == 1


def test_big_endian_bitfield() -> None:
    """On a big-endian target the bits above a field are those before it."""
    local, target = field(0, 4, big=True), field(35, 5, big=True)
    insn = bytes.fromhex("b710000000000000")
    assert relocate(local, target, 2, "0:0", rk.FIELD_LSHIFT_U64, insn).target == 35
    assert relocate(local, target, 2, "0:0", rk.FIELD_BYTE_OFFSET, insn).target == 4


def test_bitfield_too_large_for_any_load() -> None:
    """A bitfield that no 64-bit load covers is refused."""
    fixup = relocate(field(0, 3), field(60, 7, size=8), 2, "0:0", insn=mov(0))
    assert fixup.outcome == "failed"
    assert fixup.message == "its 7 bits at bit 60 do not fit into one 64-bit load"


def test_old_value_of_a_bitfield_is_not_checked() -> None:
    """The compiler may have chosen another load for a bitfield, so its offset is taken as it is."""
    fixup = relocate(field(35, 5), field(67, 5), 2, "0:0", insn=mov(3))
    assert (fixup.outcome, fixup.old, fixup.new) == ("patched", 3, 8)


def test_bitfield_that_became_a_field_poisons_a_load() -> None:
    """A load cannot follow a field from bitfield to byte; the shifts of a probe read can."""
    target = Writer()
    number = target.integer("int", 4)
    target.struct("s", 64, [("a", number, 32)])
    assert relocate(field(0, 3), target, 2, "0:0", insn=load(0)).outcome == "poisoned"
    assert relocate(field(0, 3), target, 2, "0:0", rk.FIELD_LSHIFT_U64, mov(0)).target == 32


def test_bitfield_of_a_type_without_a_size() -> None:
    """A bitfield whose type is a pointer, or an integer of no bytes, is refused: libbpf would divide by zero."""
    target = Writer()
    target.integer("int", 0)
    target.struct("s", 64, [("a", 1, 3, 5)])
    fixup = relocate(field(0, 3), target, 2, "0:0", insn=mov(0))
    assert (fixup.outcome, fixup.message) == ("failed", "a bitfield's type is a int without a size")
