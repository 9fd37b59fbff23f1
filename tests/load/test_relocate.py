"""The relocate stage judges each program by itself, as libbpf would with that program alone."""

from __future__ import annotations

from tests import elfwriter as e
from tests.btfwriter import Writer

from everykernel import core
from everykernel import object as object_
from everykernel.btf import Btf
from everykernel.load.programs.relocate import Relocated, relocate
from everykernel.object import ObjectSpec


def _load(offset: int) -> bytes:
    """An instruction that loads the offset of a field."""
    return e.insn(0xB7, 1, 0, 0, offset)


def _spec(text: bool = False, kinds: tuple[int, int] = (0, 0)) -> ObjectSpec:
    """Two programs: ``good`` has records of these kinds, ``plain`` none; with ``text`` a subprogram has one too."""
    btf = Writer()
    integer = btf.integer("int", signed=True)
    thing = btf.struct("thing", 8, [("a", integer, 0), ("b", integer, 32)])
    core_records = {"xdp": [(0, thing, "0:1", kinds[0]), (8, thing, "0:0", kinds[1])]}
    if text:
        core_records[".text"] = [(0, thing, "0:7", 0)]  # a member that the type does not have
    ext = btf.ext(core=core_records)
    writer = e.ObjectWriter()
    writer.code("xdp", good=_load(4) + _load(0) + e.EXIT, plain=e.MOV0 + e.EXIT)
    if text:
        writer.code(".text", sub=_load(4) + e.EXIT)
    writer.section(".BTF", btf.image(), flags=0)
    writer.section(".BTF.ext", ext, flags=0)
    return object_.read(writer.build(), "x.o")


def _kernel(*members: str) -> Btf:
    btf = Writer()
    integer = btf.integer("int", signed=True)
    btf.struct("thing", 4 * len(members), [(name, integer, 32 * i) for i, name in enumerate(members)])
    return btf.btf()


def _run(spec: ObjectSpec, kernel: Btf | None) -> Relocated:
    return relocate(spec, spec.programs, core.Target(kernel), "kernel" if kernel else "none")


def test_patched() -> None:
    """Each record is in the stage with its program, instruction, values and outcome, and the code is changed."""
    done = _run(_spec(), _kernel("x", "a", "b"))
    assert done.stage["status"] == "passed"
    assert done.stage["btf"] == "kernel"
    first, second = done.stage["relocations"]
    assert (first["program"], first["insn"], first["outcome"]) == ("good", 0, "patched")
    assert (first["local"], first["target"], first["old"], first["new"]) == (4, 8, 4, 8)
    assert (second["index"], second["insn"], second["kind"]) == (1, 1, "byte_off")
    assert set(done.parts) == {"good", "plain"}
    assert done.programs["good"].code["good"] == _load(8) + _load(4) + e.EXIT


def test_poisoned_goes_on() -> None:
    """A field that the kernel lacks leaves the stage passed: whether it is reached is the verifier's to say."""
    done = _run(_spec(), _kernel("a"))
    assert done.stage["status"] == "passed"
    assert done.stage["relocations"][0]["outcome"] == "poisoned"
    assert done.programs["good"].applied[0].fixup.outcome == core.POISONED


def test_no_btf() -> None:
    """Without the kernel's BTF, programs with records fail, and the others are fit to load."""
    done = _run(_spec(), None)
    assert (done.stage["status"], done.stage["code"], done.stage["btf"]) == ("failed", "btf-missing", "none")
    assert done.stage["message"] == "good: it has 2 CO-RE records, and the kernel has no BTF"
    assert set(done.parts) == {"plain"}


def test_failed_record_fails_its_program() -> None:
    """A record that libbpf refuses fails its program only."""
    done = _run(_spec(kinds=(99, 0)), _kernel("a", "b"))
    good, plain = done.stage["programs"]
    assert (good["status"], plain["status"]) == ("failed", "passed")
    assert done.stage["status"] == "failed"
    assert set(done.parts) == {"plain"}


def test_failed_record_in_text_fails_all() -> None:
    """A record that fails in .text fails every program, reached or not, as in libbpf."""
    done = _run(_spec(text=True), _kernel("a", "b"))
    assert [p["status"] for p in done.stage["programs"]] == ["failed", "failed"]
    assert not done.parts
