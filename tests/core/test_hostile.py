"""BTF made to hang a reader: every search ends, soon, in a typed outcome."""

from __future__ import annotations

import time

from tests.btfwriter import Writer
from tests.core.relocating import load, mov, relocate

from everykernel.core import relokinds as rk


def struct() -> Writer:
    writer = Writer()
    number = writer.integer("unsigned int", 4)
    writer.struct("s", 64, [("a", number, 0)])
    return writer


def test_struct_that_contains_itself() -> None:
    """An anonymous member that leads back to its own struct ends at the limit of 64 levels."""
    target = Writer()
    target.struct("s", 64, [("", 1, 0)])
    fixup = relocate(struct(), target, 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.message) == ("failed", "the target's types nest more than 64 levels deep")


def test_doubling_anonymous_structs() -> None:
    """60 levels of two equal anonymous members each would be searched 2^60 times."""
    target = Writer()
    number = target.struct("", 64, [("x", 1, 0)])
    for _ in range(60):
        number = target.struct("", 64, [("", number, 0), ("", number, 0)])
    target.struct("s", 64, [("", number, 0)])
    start = time.monotonic()
    assert relocate(struct(), target, 2, "0:0", insn=load(0)).outcome == "poisoned"
    assert time.monotonic() - start < 2


def test_typedef_that_names_itself() -> None:
    """A chain of typedefs without an end is an error of the BTF, not a loop."""
    target = Writer()
    target.typedef("u32", 2)
    target.modifier("const", 1)
    target.struct("s", 64, [("a", 1, 0)])
    fixup = relocate(struct(), target, 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.code) == ("failed", "btf-rejected")
    assert fixup.message == "vmlinux: type 1: its chain of typedefs and qualifiers has no end"


def test_array_of_itself() -> None:
    """An array whose element is the array is refused."""

    def build() -> Writer:
        writer = Writer()
        writer.array(1, 1)
        writer.struct("s", 64, [("a", 1, 0)])
        return writer

    fixup = relocate(build(), build(), 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.message) == ("failed", "its array type contains itself")


def test_doubling_match() -> None:
    """type_matches of structs that hold two of the next, 30 levels deep, compares each once; deeper is refused."""

    def build(depth: int) -> Writer:
        writer = Writer()
        number = writer.integer("int", 4)
        for _ in range(depth):
            number = writer.struct("n", 64, [("a", number, 0), ("b", number, 0)])
        writer.struct("s", 64, [("a", number, 0), ("b", number, 0)])
        return writer

    start = time.monotonic()
    assert relocate(build(30), build(30), 32, "0", rk.TYPE_MATCHES, mov(1)).target == 1
    fixup = relocate(build(31), build(31), 33, "0", rk.TYPE_MATCHES, mov(1))
    assert (fixup.outcome, fixup.message) == ("failed", "its type nests more than 32 levels deep")
    assert time.monotonic() - start < 2


def test_doubling_signatures() -> None:
    """Function types that take two of the next each give up at a fixed number of comparisons."""

    def build() -> Writer:
        writer = Writer()
        number = writer.integer("int", 4)
        for _ in range(30):
            number = writer.func_proto(number, [("a", number), ("b", number)])
        writer.typedef("t", number)
        return writer

    fixup = relocate(build(), build(), 32, "0", rk.TYPE_EXISTS, mov(1))
    assert (fixup.outcome, fixup.message) == ("failed", "its type is too large to compare")
