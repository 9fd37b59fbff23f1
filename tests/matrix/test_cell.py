"""One cell on a fake guest: who is at fault, and what the record says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import faking

from everykernel import wire
from everykernel.errors import BootFailed, CaseTimeout, KernelPanic, RequestFailed
from everykernel.kernels.model import Kernel
from everykernel.machine import Guest
from everykernel.matrix import case
from everykernel.matrix.case import Case
from everykernel.matrix.cell import run_cell
from everykernel.matrix.records import CellReport

KERNEL = faking.kernel("6.1")


@pytest.fixture
def world() -> faking.World:
    return faking.World()


def a_case(tmp_path: Path, *lines: str, script: dict[str, Any] | None = None) -> Case:
    faking.objects(tmp_path, prog=script or {})
    (tmp_path / "case.toml").write_text("\n".join(('object = "prog.bpf.o"', *lines)))
    return case.read(tmp_path / "case.toml")


def run(world: faking.World, what: Case, kernel: Kernel = KERNEL) -> CellReport:
    return run_cell(lambda: world.start(kernel, what.machine), kernel, what)


def verdict(report: CellReport) -> tuple[str, str, str]:
    result = report["result"]
    return result["outcome"], result["stage"], result["code"]


def statuses(report: CellReport) -> list[str]:
    return [report["result"]["stages"][name]["status"] for name in ("relocate", "load", "run")]


def test_passed(world: faking.World, tmp_path: Path) -> None:
    """A cell that passes has its object's digest, its machine and where it ran, and its guest is gone."""
    report = run(world, a_case(tmp_path))
    result = report["result"]
    assert verdict(report) == ("passed", "", "")
    assert statuses(report) == ["passed", "passed", "passed"]
    assert (result["start"], result["btf"], result["kernel"]) == ("restored", "kernel", "6.1")
    assert result["machine"]["cpus"] == 2
    assert report["kernel"]["release"] == "6.1.0-56-cloud-amd64"
    assert world.guests[0].closed


def test_refused(world: faking.World, tmp_path: Path) -> None:
    """A refusal is a verdict: failed in load, run not reached, and no breakage."""
    report = run(world, a_case(tmp_path, script={"load": faking.REJECTED}))
    assert verdict(report) == ("failed", "load", "verifier-rejected")
    assert statuses(report) == ["passed", "failed", "not-reached"]
    assert not any(isinstance(m, wire.Attach) for m in world.guests[0].requests)


def test_panic(world: faking.World, tmp_path: Path) -> None:
    """A panic in the run stage is an error of the guest, with the console."""
    world.answer(wire.Attach, KernelPanic("it panicked", console="trace", where="6.1"))
    report = run(world, a_case(tmp_path))
    assert verdict(report) == ("error", "run", "kernel-panic")
    assert report["console"] == "trace"
    assert statuses(report) == ["passed", "passed", "failed"]


def test_panic_that_is_expected(world: faking.World, tmp_path: Path) -> None:
    """A case whose point is a panic passes with it, and fails without it."""
    lines = ("[[expect]]", 'stage = "run"', 'status = "failed"', 'code = "kernel-panic"')
    what = a_case(tmp_path, *lines)
    assert verdict(run(world, what)) == ("failed", "run", "assertion-failed")
    world.answer(wire.Attach, KernelPanic("it panicked"))
    assert verdict(run(world, what)) == ("passed", "", "")


def test_panic_where_any_failure_is_expected(world: faking.World, tmp_path: Path) -> None:
    """An expected failure without a code does not excuse a guest that breaks."""
    what = a_case(tmp_path, "[[expect]]", 'stage = "run"', 'status = "failed"')
    world.answer(wire.Attach, KernelPanic("it panicked"))
    assert verdict(run(world, what)) == ("error", "run", "kernel-panic")


def test_timeout(world: faking.World, tmp_path: Path) -> None:
    """A trigger that never ends fails the case: the guest is well."""
    world.answer(wire.Run, CaseTimeout("'sleep 100' did not end within 1 s"))
    report = run(world, a_case(tmp_path, 'trigger = ["sleep", "100"]', "timeout = 1"))
    assert verdict(report) == ("failed", "run", "timeout")


def test_trigger(world: faking.World, tmp_path: Path) -> None:
    """A trigger's exit code decides, its output is evidence."""
    world.answer(wire.Run, wire.Ran(3, b"out", b"no such thing\n"))
    report = run(world, a_case(tmp_path, 'trigger = ["x"]'))
    stage = report["result"]["stages"]["run"]
    assert verdict(report) == ("failed", "run", "assertion-failed")
    assert stage["message"] == "trigger x ended with exit code 3: no such thing"
    assert stage["evidence"]["trigger"]["stdout"] == "out"


def test_check(world: faking.World, tmp_path: Path) -> None:
    """A check's words and evidence are the record's; its place is named."""
    (tmp_path / "check.py").write_text("def check(obj): ...")
    world.answer(wire.Check, lambda m: wire.Checked(False, "1 is not 2", f"{m.filename}:7", {"raw": b"\x01"}))
    report = run(world, a_case(tmp_path, 'check = "check.py"'))
    assert verdict(report) == ("failed", "run", "assertion-failed")
    assert report["result"]["message"] == f"{tmp_path}/check.py:7: 1 is not 2"
    assert report["result"]["stages"]["run"]["evidence"]["check"] == {"raw": {"hex": "01"}}


def test_attach_refused(world: faking.World, tmp_path: Path) -> None:
    """A program that does not attach ends the run stage, before anything is triggered."""
    refused = {**faking.PROGRAM, "status": "failed", "code": "attach-failed", "message": "EINVAL"}
    world.answer(wire.Attach, wire.Attached([refused]))
    report = run(world, a_case(tmp_path, 'trigger = ["x"]'))
    assert verdict(report) == ("failed", "run", "attach-failed")
    assert not any(isinstance(m, wire.Run) for m in world.guests[0].requests)


def test_boot_failed(world: faking.World, tmp_path: Path) -> None:
    """A kernel that does not come up is an error, no stage was reached, and the column says so."""
    world.boot_errors["6.1"] = BootFailed("no answer", console="last words", where="6.1")
    report = run(world, a_case(tmp_path))
    assert verdict(report) == ("error", "", "boot-failed")
    assert statuses(report) == ["not-reached"] * 3
    assert report["kernel"]["broken"] == "6.1: no answer"
    assert report["console"] == "last words"


def test_defects_are_the_harnesss(world: faking.World, tmp_path: Path) -> None:
    """An exception of ours, or an agent that says that it is at fault, is a harness error; the traceback is kept."""
    world.answer(wire.Load, ZeroDivisionError("oh"))
    report = run(world, a_case(tmp_path))
    assert verdict(report) == ("error", "", "harness-error")
    assert "ZeroDivisionError: oh" in report["trace"]
    world.answer(wire.Load, RequestFailed("agent: oh", code="harness-error"))
    assert verdict(run(world, a_case(tmp_path)))[::2] == ("error", "harness-error")


def test_malformed_object(world: faking.World, tmp_path: Path) -> None:
    """An object that the guest refuses to read fails the case, not the guest."""
    world.answer(wire.Load, RequestFailed("bad magic", code="object-malformed", where="prog.bpf.o"))
    report = run(world, a_case(tmp_path))
    assert verdict(report) == ("failed", "load", "object-malformed")
    assert report["result"]["message"] == "prog.bpf.o: bad magic"


def test_nothing_runs_after_an_expected_failure(world: faking.World, tmp_path: Path) -> None:
    """Where relocate fails as expected, run is not reached, and the cell passes."""
    lines = ("[[expect]]", 'stage = "relocate"', 'status = "failed"', 'code = "btf-missing"', 'btf = "none"')
    script = {"relocate": {"status": "failed", "code": "btf-missing", "message": "", "btf": "none"}}
    report = run(world, a_case(tmp_path, *lines, script=script), faking.kernel("6.1/i386"))
    assert verdict(report) == ("passed", "", "")
    assert statuses(report) == ["failed", "passed", "not-reached"]
    assert report["result"]["btf"] == "none"


def test_warnings_are_recorded(world: faking.World, tmp_path: Path) -> None:
    """A WARN in a case that passes is in the record, and decides nothing."""
    world.splats["6.1"] = ["WARNING: CPU: 0 at x"]
    report = run(world, a_case(tmp_path))
    assert verdict(report) == ("passed", "", "")
    assert report["result"]["warnings"] == ["WARNING: CPU: 0 at x"]


def test_guest_of_a_failure_can_be_kept(world: faking.World, tmp_path: Path) -> None:
    """``keep`` is called with the living guest of a cell that did not pass, and only then."""
    kept: list[Guest] = []

    def keep(guest: Guest, report: CellReport) -> None:
        assert guest.run(["true"]).code == 0
        kept.append(guest)

    for script in ({}, {"load": faking.REJECTED}):
        what = a_case(tmp_path, script=script)
        run_cell(lambda: world.start(KERNEL), KERNEL, what, keep=keep)
    assert kept == [world.guests[1]]


@pytest.mark.parametrize("stage", ["relocate", "load"])
@pytest.mark.parametrize("status", ["banana", None, {}, ["passed"], 1])
def test_a_status_that_is_none(world: faking.World, tmp_path: Path, stage: str, status: Any) -> None:
    """A stage without a status was told by no agent of ours: the guest is lost, and nothing of it is kept."""
    report = run(world, a_case(tmp_path, script={stage: {"status": status}}))
    assert verdict(report) == ("error", "load", "guest-lost")
    assert set(statuses(report)) <= {"passed", "failed", "not-reached"}


@pytest.mark.parametrize("btf", ["", "\x1b[2J", "supplied:", "modules:x", 1])
def test_a_btf_of_no_kind(world: faking.World, tmp_path: Path, btf: Any) -> None:
    """A stage names the BTF that it used as results do, or the guest is lost."""
    report = run(world, a_case(tmp_path, script={"relocate": {"btf": btf}}))
    assert verdict(report) == ("error", "load", "guest-lost")
    assert report["result"]["btf"] == "kernel"


def test_a_failure_without_a_code(world: faking.World, tmp_path: Path) -> None:
    """Our loader never fails without a reason code: a stage that does was told by somebody else."""
    report = run(world, a_case(tmp_path, script={"load": {"status": "failed", "code": "", "message": "why"}}))
    assert verdict(report) == ("error", "load", "guest-lost")


@pytest.mark.parametrize("status", ["skipped", "not-reached"])
def test_stages_that_nobody_did(world: faking.World, tmp_path: Path, status: str) -> None:
    """Stages that are skipped, or were not reached for no reason, are no pass."""
    nobody = {"status": status, "code": "", "programs": [], "maps": []}
    for script in ({"relocate": nobody, "load": nobody}, {"load": nobody}, {"relocate": nobody}):
        report = run(world, a_case(tmp_path, script=script))
        assert verdict(report)[::2] == ("failed", "assertion-failed")
        assert statuses(report)[2] == "not-reached"


def test_load_that_is_not_reached_after_relocate(world: faking.World, tmp_path: Path) -> None:
    """Where relocate refuses every program, as the case expects, load is not reached, and the cell passes."""
    lines = ("[[expect]]", 'stage = "relocate"', 'status = "failed"', 'program = "p"')
    refused = {**faking.REFUSED, "code": "btf-missing"}
    script = {
        "relocate": {"status": "failed", "code": "btf-missing", "message": "", "programs": [refused]},
        "load": {"status": "not-reached", "programs": [{**faking.PROGRAM, "status": "not-reached"}], "maps": []},
    }
    report = run(world, a_case(tmp_path, *lines, script=script))
    assert verdict(report) == ("passed", "", "")
    assert statuses(report) == ["passed", "not-reached", "not-reached"]
    assert verdict(run(world, a_case(tmp_path, script=script)))[0] == "failed"


def test_until_load(world: faking.World, tmp_path: Path) -> None:
    """A run that was not asked for is skipped, and that is a pass."""
    report = run(world, replace(a_case(tmp_path), until="load"))
    assert verdict(report) == ("passed", "", "")
    assert statuses(report) == ["passed", "passed", "skipped"]


def test_nothing_loaded(world: faking.World, tmp_path: Path) -> None:
    """An object of which nothing was loaded is not green; one that has only maps is, and its check is run."""
    report = run(world, a_case(tmp_path, script={"load": {"programs": [], "maps": []}}))
    assert verdict(report) == ("failed", "load", "object-unsupported")
    (tmp_path / "check.py").write_text("def check(obj): ...")
    report = run(world, a_case(tmp_path, 'check = "check.py"', script={"load": {"programs": []}}))
    assert verdict(report) == ("passed", "", "")
    assert any(isinstance(m, wire.Check) for m in world.guests[-1].requests)


def test_what_a_guest_says_can_be_written(world: faking.World, tmp_path: Path) -> None:
    """Surrogates, bytes, NaN and depth in what a guest sends are text in the report, which is JSON as it stands."""
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    name = b"\xff".decode("utf-8", "surrogateescape")
    (tmp_path / "check.py").write_text("def check(obj): ...")
    world.answer(wire.Check, wire.Checked(True, "", "", {"deep": deep, "nan": float("nan"), "raw": b"\0", name: name}))
    world.consoles["6.1"] = name
    world.splats["6.1"] = [name]
    report = run(world, a_case(tmp_path, 'check = "check.py"'))
    assert verdict(report) == ("passed", "", "")
    text = json.dumps(report, allow_nan=False, ensure_ascii=False)
    assert text.encode()
    assert report["console"] == report["result"]["warnings"][0] == "\\xff"
