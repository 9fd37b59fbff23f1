"""Relocations of enum values."""

from __future__ import annotations

import pytest
from tests.btfwriter import Writer
from tests.core.relocating import POISON, mov, relocate, wide

from everykernel.core import relokinds as rk


def enum(values: dict[str, int], name: str = "e", *, wide_enum: bool = False, signed: bool = False) -> Writer:
    writer = Writer()
    if wide_enum:
        writer.enum64(name, values, signed=signed)
    else:
        writer.enum(name, values, signed=signed)
    return writer


def test_value_by_name() -> None:
    """An enumerator has the kernel's value, wherever it stands in the enum, flavours of both left aside."""
    local = enum({"A": 1, "B___mine": 2}, "e___mine")
    fixup = relocate(local, enum({"B": 7, "C": 3}), 1, "1", rk.ENUMVAL_VALUE, wide(2))
    assert (fixup.outcome, fixup.target, fixup.insn) == ("patched", 7, wide(7))
    assert fixup.access == "enum e___mine::B___mine"


def test_missing_value() -> None:
    """A value that the kernel lacks poisons; its existence is 0."""
    local, target = enum({"A": 1}), enum({"B": 1})
    fixup = relocate(local, target, 1, "0", rk.ENUMVAL_VALUE, wide(1))
    assert (fixup.outcome, fixup.insn.hex()) == ("poisoned", POISON * 2)
    assert fixup.message == "enum e has no value 'A'"
    assert relocate(local, target, 1, "0", rk.ENUMVAL_EXISTS, mov(1)).target == 0
    assert relocate(local, local, 1, "0", rk.ENUMVAL_EXISTS, mov(1)).target == 1


@pytest.mark.parametrize("wide_enum", [False, True])
def test_negative_value_fills_64_bits(wide_enum: bool) -> None:
    """A negative value is extended to all 64 bits of the load."""
    target = enum({"A": -2}, wide_enum=wide_enum, signed=True)
    assert relocate(enum({"A": 1}), target, 1, "0", rk.ENUMVAL_VALUE, wide(1)).insn == wide(2**64 - 2)


def test_enum64_value_for_an_enum() -> None:
    """An enum of the object finds the kernel's enum64, with values past 32 bits."""
    fixup = relocate(enum({"A": 1}), enum({"A": 1 << 40}, wide_enum=True), 1, "0", rk.ENUMVAL_VALUE, wide(1))
    assert (fixup.target, fixup.insn) == (1 << 40, wide(1 << 40))


def test_32_bit_value_is_extended_as_signed() -> None:
    """libbpf reads every 32-bit enumerator as signed, that of an unsigned enum too."""
    fixup = relocate(enum({"A": 1}), enum({"A": 0xFFFFFFF0}), 1, "0", rk.ENUMVAL_VALUE, wide(1))
    assert fixup.insn == wide(0xFFFFFFFFFFFFFFF0)


@pytest.mark.parametrize(
    ("access", "message"),
    [
        ("1", "the access string '1' names no value of an enum of 1"),
        ("0:0", "the access string '0:0' names no value of an enum of 1"),
    ],
)
def test_access_to_no_value(access: str, message: str) -> None:
    """An access string that names no enumerator is refused."""
    fixup = relocate(enum({"A": 1}), enum({"A": 1}), 1, access, rk.ENUMVAL_VALUE, wide(1))
    assert (fixup.outcome, fixup.message) == ("failed", message)


def test_root_that_is_no_enum() -> None:
    """An enum value of a struct is refused."""
    writer = Writer()
    number = writer.integer("int", 4)
    writer.struct("s", 4, [("a", number, 0)])
    fixup = relocate(writer, writer, 2, "0", rk.ENUMVAL_VALUE, wide(1))
    assert (fixup.outcome, fixup.message) == ("failed", "the root of an enum value is a struct")


def test_name_that_is_no_enum_in_the_kernel() -> None:
    """A typedef of an enum finds the kernel's typedef, and no value where that is of something else."""

    def build(number_of_enum: bool) -> Writer:
        writer = Writer()
        inner = writer.enum("", {"A": 3}) if number_of_enum else writer.integer("int", 4)
        writer.typedef("e_t", inner)
        return writer

    assert relocate(build(True), build(True), 2, "0", rk.ENUMVAL_VALUE, wide(3)).outcome == "patched"
    fixup = relocate(build(True), build(False), 2, "0", rk.ENUMVAL_VALUE, wide(3))
    assert (fixup.outcome, fixup.message) == ("poisoned", "e_t is no enum")
