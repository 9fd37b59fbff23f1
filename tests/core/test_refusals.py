"""Malformed records: each is refused where libbpf refuses it, with a message that says what is wrong."""

from __future__ import annotations

import pytest
from tests.btfwriter import Writer
from tests.core.relocating import load, mov, relocate, wide

from everykernel import core
from everykernel.btf.ext import CoreRecord
from everykernel.core import relokinds as rk
from everykernel.core.spec import steps
from everykernel.errors import ObjectMalformed


def struct(offset: int = 0) -> Writer:
    writer = Writer()
    number = writer.integer("unsigned int", 4)
    writer.struct("s", 64, [("a", number, 8 * offset)])
    return writer


@pytest.mark.parametrize(
    ("access", "message"),
    [
        ("", "the record has no access string"),
        (":0", "the access string ':0' starts with a colon"),
        ("x", "the access string 'x' is no list of numbers"),
        ("0:", "the access string '0:' is no list of numbers"),
        ("0::0", "the access string '0::0' is no list of numbers"),
        ("0:-1", "the access string '0:-1' has a negative number"),
        ("0:2147483648", "the access string '0:2147483648' has a negative number"),
        ("0:1", "member 1 of struct s does not exist (it has 1)"),
        ("0:0:0", "the access goes into a int"),
        (":".join(["0"] * 65), "the access string has more than 64 steps"),
    ],
)
def test_access_strings(access: str, message: str) -> None:
    """An access string that leads nowhere is refused."""
    fixup = relocate(struct(), struct(), 2, access, insn=load(0))
    assert (fixup.outcome, fixup.code, fixup.message) == ("failed", "object-malformed", message)
    assert fixup.insn == b""


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        ("0:1:2", [0, 1, 2]),
        ("007", [7]),
        ("0: 3", [0, 3]),
        ("0 3", [0, 3]),
        ("+1", [1]),
        ("-0", [0]),
        ("4294967297", [1]),
    ],
)
def test_access_strings_as_c_reads_them(access: str, expected: list[int]) -> None:
    """libbpf reads access strings with sscanf: blanks, signs and overflow included."""
    assert steps(access) == expected


def test_unknown_kind() -> None:
    """A relocation kind that libbpf does not know is refused."""
    fixup = relocate(struct(), struct(), 2, "0:0", 13, load(0))
    assert (fixup.outcome, fixup.kind, fixup.message) == ("failed", "unknown(13)", "relocation kind 13 is not known")


def test_type_that_is_not_there() -> None:
    """A record whose type id is past the object's BTF is refused, and says where."""
    fixup = relocate(struct(), struct(), 9, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.code) == ("failed", "object-malformed")
    assert fixup.message == "prog.bpf.o: there is no type 9 (types end at 2)"
    assert fixup.access == "type 9 + '0:0'"


@pytest.mark.parametrize(
    ("insn", "message"),
    [
        (load(4), "the instruction's offset is 4, its record says 0"),
        (mov(4), "the instruction's immediate is 4, its record says 0"),
        (wide(4), "the instruction's immediate is 4, its record says 0"),
        (wide(0)[:8], "a 64-bit load lacks its second half"),
        (wide(0)[:8] + mov(0), "the instruction is no plain 64-bit load"),
        (b"\x18\x11" + wide(0)[2:], "the instruction is no plain 64-bit load"),
        (b"\x20" + wide(0)[1:8], "the instruction is no plain 64-bit load"),
        (b"\x0f\x21" + bytes(6), "the instruction takes no immediate"),
        (b"\x95" + bytes(7), "an instruction with code 0x95 cannot be relocated"),
        (b"", "the record's instruction is past the end of the code"),
    ],
)
def test_instructions(insn: bytes, message: str) -> None:
    """An instruction that does not hold what its record says, or that cannot hold a value, is refused."""
    local, target = struct().btf("prog.bpf.o"), core.Target(struct(8).btf())
    fixup = core.compute(CoreRecord(0, 2, "0:0", rk.FIELD_BYTE_OFFSET), 0, local, target, insn)
    assert (fixup.outcome, fixup.message) == ("failed", message)
    assert (fixup.local, fixup.target) == (0, 8)


def test_offset_that_does_not_fit() -> None:
    """An offset past 15 bits fits an immediate, not a load."""
    assert relocate(struct(), struct(40000), 2, "0:0", insn=mov(0)).new == 40000
    fixup = relocate(struct(), struct(40000), 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.message) == ("failed", "offset 40000 does not fit into an instruction")


def test_poison_needs_a_sound_instruction() -> None:
    """An instruction that cannot be relocated is refused also where there is no value for it (since libbpf 1.8)."""
    other = Writer()
    other.integer("unsigned int", 4)
    for insn in (b"\x95" + bytes(7), b"\x0f\x21" + bytes(6), b"\x18" + bytes(7)):
        assert relocate(struct(), other, 2, "0:0", insn=insn).outcome == "failed"
    assert relocate(struct(), other, 2, "0:0", insn=load(0)).outcome == "poisoned"


def test_apply_writes_in_place() -> None:
    """A fixup is written where its instruction is; a failed one changes nothing."""
    code = bytearray(mov(1) + load(0) + mov(2))
    core.apply(relocate(struct(), struct(8), 2, "0:0", insn=load(0)), code, 1)
    assert code == mov(1) + load(8) + mov(2)
    core.apply(relocate(struct(), struct(8), 2, "0:7", insn=load(0)), code, 1)
    assert code == mov(1) + load(8) + mov(2)
    with pytest.raises(ObjectMalformed, match=r"struct s\.a: the record's instruction 3 is past the code \(3 instr"):
        core.apply(relocate(struct(), struct(8), 2, "0:0", insn=load(0)), code, 3)


def test_target_that_nests_too_deep() -> None:
    """More than 64 anonymous structs inside one another are refused."""
    target = Writer()
    number = target.integer("unsigned int", 4)
    for _ in range(70):
        number = target.struct("", 64, [("", number, 0)])
    target.struct("s", 64, [("", number, 0)])
    fixup = relocate(struct(), target, 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.message) == ("failed", "the target's types nest more than 64 levels deep")


def test_broken_kernel_type() -> None:
    """A record that reaches a broken type of the kernel's BTF fails with the place in that BTF."""
    target = Writer()
    target.integer("unsigned int", 4)
    target.struct("s", 64, [("a", 77, 0)])
    fixup = relocate(struct(), target, 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.code) == ("failed", "btf-rejected")
    assert fixup.message == "vmlinux: type 2 (struct) at 0x28: a member refers to type 77 of 3"
