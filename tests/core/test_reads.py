"""Misreads of relocated accesses: told where bytes mean something else, and only there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.btfwriter import Writer
from tests.core import programs as p
from tests.core.programs import EXISTS, EXIT, OFFSET, SIGNED, SIZE, probed, types

from everykernel.btf import kinds
from everykernel.object.spec import CALL, DATA, EXTERN, DataSection, Reference

Member = Callable[[Writer], tuple[int, int, int]]


def integer(size: int, *, signed: bool = False, at: int = 0, bits: int = 0, name: str = "n") -> Member:
    return lambda w: (w.integer(name, size, signed=signed), at, bits)


def pointer(w: Writer) -> tuple[int, int, int]:
    return (w.ptr(0), 0, 0)


def array(size: int, count: int) -> Member:
    return lambda w: (w.array(w.integer("n", size), count), 0, 0)


U8, U16, U32, U64, S32 = integer(1), integer(2), integer(4), integer(8), integer(4, signed=True)


def misread(here: Member, there: Member, size: int) -> list[str]:
    """Return what a probed read of so many bytes is told to have there."""
    local, root = types(here)
    target, _ = types(there)
    found = p.find([*probed(size), EXIT], local, target, [(0, root, "0:0", OFFSET)])
    assert found.looked_at == 1
    return [m.kernel for m in found.misreads]


@pytest.mark.parametrize(
    ("here", "there", "size", "has"),
    [
        (U32, U8, 4, "n f, 1 byte"),
        (U32, U64, 4, "n f, 8 bytes"),
        (U32, S32, 4, "n f, 4 bytes"),
        (U8, integer(1, at=4, bits=4), 1, "n f:4, 4 bits at bit 4 of byte 0"),
        (U32, integer(4, bits=31), 4, "n f:31, 31 bits at bit 0 of byte 0"),
        (array(4, 2), array(8, 2), 8, "n f[2], 16 bytes"),
    ],
    ids=["narrower", "wider", "sign", "bitfield", "bitfield of one bit less", "elements"],
)
def test_what_means_something_else_is_told(here: Member, there: Member, size: int, has: str) -> None:
    """A width, a sign, a bitfield under a probed read of the whole field is a misread."""
    assert misread(here, there, size) == [has]


@pytest.mark.parametrize(
    ("here", "there", "size"),
    [
        (U32, integer(4, at=256), 4),
        (U32, integer(4, name="other"), 4),
        (U64, U32, 4),
        (U32, U64, 8),
        (U8, integer(1, at=8, bits=8), 1),
        (integer(1, name="char"), integer(1, name="char", signed=True), 1),
        (pointer, pointer, 8),
        (array(1, 16), array(1, 8), 16),
        (array(1, 16), array(1, 32), 16),
        (lambda w: (w.struct("in", 8, []), 0, 0), lambda w: (w.struct("in", 16, []), 0, 0), 8),
    ],
    ids=[
        "moved", "another name", "a prefix", "more than the field", "bits of a whole byte", "char", "pointers",
        "a shorter array", "a longer array", "a struct that grew",
    ],
)  # fmt: skip
def test_what_means_the_same_is_not_told(here: Member, there: Member, size: int) -> None:
    """Moves, prefixes, lengths of arrays, addresses of structs and the sign of char are no misreads."""
    assert misread(here, there, size) == []


def test_an_address_that_is_not_read_is_counted_and_not_told() -> None:
    """Where the walk does not see the read, nothing is claimed."""
    local, root = types(U32)
    target, _ = types(U8)
    insns = [p.mov(6, 0), p.add_register(1, 6), p.call(25), EXIT]  # bpf_perf_event_output
    found = p.find(insns, local, target, [(0, root, "0:0", OFFSET)])
    assert (found.misreads, found.unjudged) == ([], ["struct s.f"])


def test_a_load_through_an_address_is_told() -> None:
    """CO-RE adjusts the width of a load that has a record, not of one that uses a relocated address."""
    local, root = types(U32)
    target, _ = types(U8)
    by_address = [p.mov(6, 0), p.add_register(1, 6), p.load(0, 1, 0, 4), EXIT]
    assert p.find(by_address, local, target, [(0, root, "0:0", OFFSET)]).misreads
    assert not p.find([p.load(0, 1, 0, 4), EXIT], local, target, [(0, root, "0:0", OFFSET)]).misreads


def test_a_load_of_another_sign_is_told() -> None:
    """CO-RE adjusts no sign."""
    local, root = types(U32)
    target, _ = types(S32)
    found = p.find([p.load(0, 1, 0, 4), EXIT], local, target, [(0, root, "0:0", OFFSET)])
    assert [m.insn for m in found.misreads] == [0]


@pytest.mark.parametrize(("place", "told"), [(3, 0), (4, 1), (8 + 3, 0)])
def test_bits_that_moved_under_a_load_are_told(place: int, told: int) -> None:
    """A direct load of a bitfield has its shifts compiled in: they hold where the bits lie alike."""
    local, root = types(integer(1, at=3, bits=2))
    target, _ = types(integer(1, at=place, bits=2))
    found = p.find([p.load(0, 1, 0, 1), EXIT], local, target, [(0, root, "0:0", OFFSET)])
    assert len(found.misreads) == told


def test_code_that_asks_the_size_is_not_told() -> None:
    """Who lets CO-RE fill in the size, or asks for the sign or the shifts, adapts."""
    local, root = types(U32)
    target, _ = types(U8)
    records = [(0, root, "0:0", OFFSET), (5, root, "0:0", SIZE)]
    assert not p.find([*probed(4), EXIT], local, target, records).misreads
    asks = [*probed(4), p.mov(0, 0), EXIT]
    assert not p.find(asks, local, target, [(0, root, "0:0", OFFSET), (7, root, "0:0", SIGNED)]).misreads


def guarded(*guard: p.Insn) -> list[p.Insn]:
    """``if (guard) read``: the guard's last instruction jumps over the seven of the read."""
    return [*guard, *probed(4), EXIT]


def test_code_behind_a_guard_is_dead() -> None:
    """A branch on what CO-RE answered hides what only the other kernels run."""
    local, root = types(U32)
    target, _ = types(U8)
    absent = local.struct("new", 8, [("g", 1, 0)])
    insns = guarded(p.mov(0, 1), p.jump(p.JEQ, 0, 7, 0))
    records = [(0, absent, "0:0", EXISTS), (2, root, "0:0", OFFSET)]
    assert not p.find(insns, local, target, records).misreads
    assert p.find(insns, local, target, records[1:]).misreads


@pytest.mark.parametrize(("version", "misreads", "unjudged"), [(5, 1, 0), (7, 0, 0), (None, 0, 1)])
def test_a_branch_on_the_version(version: int | None, misreads: int, unjudged: int) -> None:
    """A kernel's version decides where it is known; where it is not, what is behind any branch on it is not judged."""
    local, root = types(U32)
    target, _ = types(U8)
    insns = guarded(*p.wide(0), p.load(0, 0, 0, 4), p.jump(p.JGT, 0, 7, 6))
    references = [Reference(0, EXTERN, "LINUX_KERNEL_VERSION")]
    settings = {"LINUX_KERNEL_VERSION": version.to_bytes(4, "little")} if version is not None else {}
    found = p.find(insns, local, target, [(4, root, "0:0", OFFSET)], references=references, settings=settings)
    assert (len(found.misreads), len(found.unjudged)) == (misreads, unjudged)


@pytest.mark.parametrize(("there", "misreads"), [(True, 0), (False, 1), (None, 0)])
def test_a_branch_on_a_symbol(there: bool | None, misreads: int) -> None:
    """``if (&symbol) … else read``: the address of a weak symbol tells, where it is known whether it is there."""
    local, root = types(U32)
    target, _ = types(U8)
    insns = guarded(*p.wide(0), p.jump(p.JNE, 0, 7, 0))
    found = p.find(
        insns, local, target, [(3, root, "0:0", OFFSET)], references=[Reference(0, EXTERN, "symbol")],
        symbols={} if there is None else {"symbol": there},
    )  # fmt: skip
    assert len(found.misreads) == misreads


@pytest.mark.parametrize(("value", "misreads"), [(0, 0), (1, 1)])
def test_a_branch_on_a_constant(value: int, misreads: int) -> None:
    """A constant of .rodata decides as it does for the verifier."""
    local, root = types(U32)
    target, _ = types(U8)
    insns = guarded(*p.wide(0), p.load(0, 0, 4, 4), p.jump(p.JEQ, 0, 7, 0))
    section = DataSection(".rodata", 8, bytes(4) + value.to_bytes(4, "little"), True, 0, False)
    found = p.find(
        insns, local, target, [(4, root, "0:0", OFFSET)], references=[Reference(0, DATA, ".rodata")], data=[section]
    )
    assert len(found.misreads) == misreads


def test_a_read_in_a_subprogram_is_told() -> None:
    """An address goes along as an argument; one that callers disagree about does not."""
    local, root = types(U32)
    target, _ = types(U8)
    body = [p.copy(3, 1), p.copy(1, 10), p.add(1, -8), p.mov(2, 4), p.call(p.PROBE), EXIT]
    insns = [p.mov(6, 0), p.add_register(1, 6), (0x85, 0, 1, 0, -1), EXIT]
    found = p.find(
        insns, local, target, [(0, root, "0:0", OFFSET)], references=[Reference(2, CALL, "sub")],
        functions=[("sub", body)],
    )  # fmt: skip
    assert [(m.function, m.insn) for m in found.misreads] == [("sub", 4)]
    twice = [p.copy(7, 1), *insns[:3], p.copy(1, 7), insns[2], EXIT]
    references = [Reference(3, CALL, "sub"), Reference(5, CALL, "sub")]
    found = p.find(twice, local, target, [(1, root, "0:0", OFFSET)], references=references, functions=[("sub", body)])
    assert (found.misreads, found.unjudged) == ([], ["struct s.f"])


@pytest.mark.parametrize("big", [False, True], ids=["little", "big"])
def test_a_loop_and_both_byte_orders(big: bool) -> None:
    """The walk ends on code that jumps back, and reads instructions of either byte order."""
    local, root = types(U32, big=big)
    target, _ = types(U8, big=big)
    insns = [p.copy(7, 1), p.mov(8, 0), p.copy(1, 7), *probed(4), p.add(8, 1), p.jump(p.JNE, 8, -10, 5), EXIT]
    found = p.find(insns, local, target, [(3, root, "0:0", OFFSET)])
    assert [m.insn for m in found.misreads] == [9]


def test_a_struct_that_two_types_may_be_is_told_only_if_both_are_misread() -> None:
    """Where the kernel has the name twice, one that fits is enough to say nothing."""
    local, root = types(U32)
    target, _ = types(U8)
    four = target.integer("four", 4)
    target.struct("s", 64, [("f", four, 0)])
    assert not p.find([*probed(4), EXIT], local, target, [(0, root, "0:0", OFFSET)]).misreads


def enum(*values: tuple[str, int]) -> Member:
    def add(w: Writer) -> tuple[int, int, int]:
        words = [word for name, value in values for word in (w.string(name), value)]
        return (w.add("e", kinds.ENUM, 4, *words, vlen=len(values)), 0, 0)

    return add


def test_an_enumerator_with_another_value_is_told_where_it_is_compared() -> None:
    """What was read from a field of the enum, and compared with a number that its name no longer has."""
    local, root = types(enum(("A", 0), ("B", 1), ("C", 2)))
    target, _ = types(enum(("A", 0), ("NEW", 1), ("B", 2), ("C", 3)))
    for number, told in ((1, [("B = 1", "B = 2")]), (0, []), (7, [])):
        probe = [*probed(4), p.load(1, 10, -8, 4), p.jump(p.JEQ, 1, 0, number), EXIT]
        direct = [p.load(1, 1, 0, 4), p.jump(p.JNE, 1, 0, number), EXIT]
        for insns in (probe, direct):
            found = p.find(insns, local, target, [(0, root, "0:0", OFFSET)])
            assert [(m.taken, m.kernel) for m in found.misreads] == told


def test_an_enumerator_that_the_kernel_asks_for_is_not_told() -> None:
    """Values that only moved, in an enum that is not compared, are nobody's misread."""
    local, root = types(enum(("A", 0), ("B", 1)))
    target, _ = types(enum(("A", 0), ("NEW", 1), ("B", 2)))
    assert not p.find([*probed(4), EXIT], local, target, [(0, root, "0:0", OFFSET)]).misreads


def test_a_walk_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object decides how its code jumps: past a number of steps, its accesses are not judged."""
    monkeypatch.setattr("everykernel.core.reads.flow._BUDGET", 5)
    local, root = types(U32)
    target, _ = types(U8)
    insns = [*probed(4), p.jump(p.JNE, 0, 0, 0), p.jump(p.JNE, 0, 0, 0), EXIT]
    found = p.find(insns, local, target, [(0, root, "0:0", OFFSET)])
    assert (found.misreads, found.unjudged) == ([], ["struct s.f"])
