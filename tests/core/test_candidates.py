"""Which types of the kernel are considered, in which order, and what happens when there are several."""

from __future__ import annotations

from tests.btfwriter import Writer
from tests.core.relocating import load, mov, relocate

from everykernel import core
from everykernel.btf import Btf
from everykernel.btf.ext import CoreRecord
from everykernel.core import relokinds as rk


def structs(*members: dict[str, int], name: str = "s") -> Writer:
    """Structs ``s``, ``s___2`` …, each with u32 members at byte offsets."""
    writer = Writer()
    number = writer.integer("unsigned int", 4)
    for position, places in enumerate(members, 1):
        flavour = f"___{position}" if position > 1 else ""
        writer.struct(name + flavour, 64, [(key, number, 8 * value) for key, value in places.items()])
    return writer


def test_candidates_that_agree() -> None:
    """Several types of one name that lead to the same place are one answer."""
    fixup = relocate(structs({"a": 0}), structs({"a": 8}, {"a": 8, "b": 12}), 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.target) == ("patched", 8)
    assert fixup.candidates == ("struct s (vmlinux 2)", "struct s___2 (vmlinux 3)")


def test_candidates_that_conflict() -> None:
    """Several types of one name that lead to different places are refused, both places named."""
    fixup = relocate(structs({"a": 0}), structs({"a": 8}, {"a": 12}), 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.code) == ("failed", "relocation-ambiguous")
    assert fixup.message == "struct s (vmlinux 2) has it at bit 64, struct s___2 (vmlinux 3) at bit 96"


def test_values_that_conflict() -> None:
    """Equal places with different values are refused too."""

    def build(*sizes: int) -> Writer:
        writer = Writer()
        for position, size in enumerate(sizes):
            writer.struct("s" if not position else f"s___{position}", size, [])
        return writer

    fixup = relocate(build(4), build(8, 12), 1, "0", rk.TYPE_SIZE, mov(4))
    assert (fixup.outcome, fixup.code) == ("failed", "relocation-ambiguous")
    assert fixup.message == "struct s (vmlinux 1) gives 8, struct s___1 (vmlinux 2) gives 12"


def test_existence_cannot_conflict() -> None:
    """field_exists asks the candidates that have the field: they agree, wherever it is within one place."""
    fixup = relocate(structs({"a": 0}), structs({"b": 8}, {"a": 12}), 2, "0:0", rk.FIELD_EXISTS, mov(1))
    assert (fixup.outcome, fixup.target) == ("patched", 1)


def test_a_candidate_ruled_out_stays_out() -> None:
    """Within one program, what a record rules out the next does not consider: as libbpf, whose lists only shrink."""
    local = structs({"only": 0, "a": 4}).btf("o")
    target = core.Target(structs({"a": 8}, {"a": 12, "only": 4}).btf())

    def run(member: int, session: core.Session) -> core.Fixup:
        record = CoreRecord(0, 2, f"0:{member}", rk.FIELD_BYTE_OFFSET)
        return core.compute(record, 0, local, target, mov(4 * member), session)

    session = core.Session(local, target)
    assert run(1, session).outcome == "failed"
    assert run(0, session).target == 4
    assert run(1, session).target == 12
    assert run(1, session.again()).outcome == "failed"


def test_nothing_matched_rules_nothing_out() -> None:
    """A record that no candidate matches leaves them all for the next."""
    local = structs({"gone": 0, "a": 4}).btf("o")
    target = core.Target(structs({"a": 8}, {"a": 8}).btf())
    session = core.Session(local, target)
    first = core.compute(CoreRecord(0, 2, "0:0", 0), 0, local, target, mov(0), session)
    second = core.compute(CoreRecord(8, 2, "0:1", 0), 1, local, target, mov(4), session)
    assert (first.outcome, second.outcome, len(second.candidates)) == ("poisoned", "patched", 2)


def module(base: Btf, name: str, offset: int, struct: str = "s") -> Btf:
    writer = Writer(base=base)
    number = base.find("unsigned int", "int")
    assert number is not None
    writer.struct(struct, 64, [("a", number, 8 * offset)])
    return writer.btf(name)


def test_modules_are_searched_when_vmlinux_has_no_candidate() -> None:
    """A module's struct is found in its split BTF, whose types and names continue vmlinux's."""
    base = structs({"x": 0}, name="other").btf()
    found = module(base, "nf_conntrack", 16)
    fixup = relocate(structs({"a": 0}), base, 2, "0:0", insn=load(0), modules=[module(base, "ext4", 0, "t"), found])
    assert (fixup.outcome, fixup.target, fixup.btf) == ("patched", 16, "nf_conntrack")
    assert fixup.candidates == (f"struct s (nf_conntrack {found.count - 1})",)


def test_modules_are_not_read_when_vmlinux_has_one() -> None:
    """A candidate in vmlinux, even one that does not match, keeps modules out; they are not even read."""

    def modules() -> list[Btf]:
        raise AssertionError("modules were read")

    local = structs({"a": 0}).btf("o")
    target = core.Target(structs({"b": 8}).btf(), modules)
    fixup = core.compute(CoreRecord(0, 2, "0:0", 0), 0, local, target, load(0))
    assert fixup.outcome == "poisoned"


def test_modules_that_conflict() -> None:
    """Two modules with types of one name that disagree are refused like two in vmlinux."""
    base = structs({"x": 0}, name="other").btf()
    modules = [module(base, "one", 16), module(base, "two", 20)]
    fixup = relocate(structs({"a": 0}), base, 2, "0:0", insn=load(0), modules=modules)
    assert fixup.code == "relocation-ambiguous"


def test_no_btf() -> None:
    """Without a BTF every record fails, with the code that says so."""
    fixup = relocate(structs({"a": 0}), None, 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.code, fixup.message) == (
        "failed",
        "btf-missing",
        "there is no BTF to relocate against",
    )
    assert fixup.access == "struct s"


def test_root_without_a_name() -> None:
    """Types without a name cannot be searched for."""
    fixup = relocate(structs({"a": 0}, name=""), structs({"a": 0}), 2, "0:0", insn=load(0))
    assert (fixup.outcome, fixup.code) == ("failed", "object-malformed")
    assert fixup.message == "a relocation needs a named type: struct {…} cannot be searched for"
