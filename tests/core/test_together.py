"""Several programs with one memory of candidates, as libbpf relocates a whole object."""

from __future__ import annotations

from tests import elfwriter as e
from tests.btfwriter import Writer

from everykernel import core
from everykernel import object as object_
from everykernel.btf import Btf
from everykernel.object import ObjectSpec


def _read(value: int) -> bytes:
    """An instruction that holds the offset of a field."""
    return e.insn(0xB7, 1, 0, 0, value)


def _spec() -> ObjectSpec:
    """Two programs: ``first`` reads ``a`` of a struct, ``second`` reads ``b``."""
    btf = Writer()
    integer = btf.integer("int", signed=True)
    thing = btf.struct("thing", 8, [("a", integer, 0), ("b", integer, 32)])
    ext = btf.ext(core={"xdp": [(0, thing, "0:0", 0)], "socket": [(0, thing, "0:1", 0)]})
    writer = e.ObjectWriter()
    writer.code("xdp", first=_read(0) + e.EXIT)
    writer.code("socket", second=_read(4) + e.EXIT)
    writer.section(".BTF", btf.image(), flags=0)
    writer.section(".BTF.ext", ext, flags=0)
    return object_.read(writer.build(), "x.o")


def _kernel(*things: tuple[str, ...]) -> Btf:
    """A kernel with one struct of the name for each of these lists of members, each at 4 bytes more than its index."""
    btf = Writer()
    integer = btf.integer("int", signed=True)
    for number, members in enumerate(things):
        places = [(name, integer, 32 * (number + at)) for at, name in enumerate(members)]
        btf.struct("thing", 64, places)
    return btf.btf()


def _together(kernel: Btf) -> tuple[core.RelocatedProgram, core.Session]:
    spec = _spec()
    assert spec.btf is not None
    session = core.Session(spec.btf, core.Target(kernel))
    for program in spec.programs:
        core.relocate_program(spec, program, session)
    return core.relocate_together(spec, spec.programs, session), session


def _outcomes(done: core.RelocatedProgram) -> dict[str, str]:
    return {applied.function.name: applied.fixup.outcome for applied in done.applied}


def test_what_one_program_rules_out_the_next_does_not_find() -> None:
    """Two structs, each with one of the fields: alone each program is patched, together the second is poisoned."""
    spec, kernel = _spec(), _kernel(("a",), ("b",))
    assert spec.btf is not None
    alone = [core.relocate_program(spec, p, core.Session(spec.btf, core.Target(kernel))) for p in spec.programs]
    assert [_outcomes(done) for done in alone] == [{"first": "patched"}, {"second": "patched"}]
    together, session = _together(kernel)
    assert _outcomes(together) == {"first": "patched", "second": "poisoned"}
    assert session.narrowed


def test_what_is_ambiguous_alone_may_be_told_apart() -> None:
    """Two structs have ``b`` at different offsets, and one has ``a``: together, that one decides."""
    spec, kernel = _spec(), _kernel(("a", "b"), ("x", "b"))
    assert spec.btf is not None
    alone = core.relocate_program(spec, spec.programs[1], core.Session(spec.btf, core.Target(kernel)))
    assert alone.failed is not None
    together, session = _together(kernel)
    assert together.failed is None
    assert together.code["second"] == _read(4) + e.EXIT
    assert session.narrowed


def test_where_nothing_is_ruled_out_nothing_differs() -> None:
    """One struct, or two alike: nothing is narrowed, and each program comes out as by itself."""
    spec = _spec()
    assert spec.btf is not None
    for kernel in (_kernel(("a", "b")), _kernel(("x", "y"))):
        together, session = _together(kernel)
        assert not session.narrowed
        alone = [core.relocate_program(spec, program, session) for program in spec.programs]
        assert together.code == {name: code for done in alone for name, code in done.code.items()}


def test_programs_that_are_not_loaded_rule_nothing_out() -> None:
    """Only the programs that are asked for take part."""
    spec, kernel = _spec(), _kernel(("a",), ("b",))
    assert spec.btf is not None
    session = core.Session(spec.btf, core.Target(kernel))
    assert _outcomes(core.relocate_together(spec, spec.programs[1:], session)) == {"second": "patched"}


def test_a_refusal_has_the_errno_that_libbpf_gives() -> None:
    """Most are EINVAL; an offset that no load holds is ERANGE."""
    spec, kernel = _spec(), _kernel(("a", "b"), ("x", "b"))
    assert spec.btf is not None
    alone = core.relocate_program(spec, spec.programs[1], core.Session(spec.btf, core.Target(kernel)))
    assert alone.failed is not None
    assert (alone.failed.fixup.code, alone.failed.fixup.errno) == ("relocation-ambiguous", "EINVAL")
