"""Machines that run already, as columns: what a campaign does otherwise there, and what the record says."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import faking

from everykernel import wire
from everykernel.errors import GuestLost, TargetUnreachable, ToolMissing, UsageError
from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.kernels.progress import SILENT
from everykernel.machine import CONNECTED, Fleet, MachineSpec, fake, reach
from everykernel.machine.fake import FakeGuest
from everykernel.matrix import case, plan, schema
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.results import identify

SPEC = "ssh://lab"
KERNEL = replace(fake.kernel(SPEC), target="ssh", source="ssh:lab", sha256="", notes=("a note",))
TOLD = {
    "lockdown": "integrity",
    "target": "ssh",
    "promises": {"fresh_kernel": False, "console": True, "loads": True},
    "notes": ["a note"],
}


class Visited(FakeGuest):
    """A guest on a machine that runs already."""

    def __init__(self, *arguments: Any, may_load: bool) -> None:
        super().__init__(*arguments)
        self.start_kind, self.may_load = CONNECTED, may_load

    def finish(self) -> list[str]:
        return ["left behind on the target: 1 map stayed"]


class FakeTargets(faking.World):
    """Targets that answer by script."""

    def __init__(self, *, may_load: bool = True) -> None:
        super().__init__()
        self._may_load = may_load

    def resolve(self, spec: str) -> ResolvedKernel:
        if spec != SPEC:
            raise TargetUnreachable("nobody is there", where=spec)
        about = {
            name: getattr(KERNEL, name)
            for name in ("spec", "arch", "series", "version", "release", "source", "flavour")
        }
        return ResolvedKernel(**about, package="", fetcher=lambda resolved, progress: KERNEL, target="ssh", told=TOLD)

    def start(self, kernel: Kernel, spec: MachineSpec | None = None, *, ahead: bool = False) -> Visited:
        made = Visited(self, kernel, spec or MachineSpec(), may_load=self._may_load)
        self.guests.append(made)
        return made


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    faking.install(monkeypatch)


def campaign(targets: FakeTargets, *specs: str, **options: Any) -> Campaign:
    columns = plan.columns(specs or [SPEC], targets=targets)  # type: ignore[arg-type]
    return Campaign(columns, Fleet(faking.World(), targets), **options)


def an_object(tmp_path: Path, **script: Any) -> case.Case:
    faking.objects(tmp_path, prog=script)
    return case.bare(tmp_path / "prog.bpf.o")


def test_what_the_record_says(tmp_path: Path) -> None:
    """A column tells before any cell what it is and does not promise; a cell, where it ran and what stayed there."""
    running = campaign(FakeTargets(), "6.1", SPEC)
    guest, target = (column.record() for column in running.columns.values())
    assert "target" not in guest
    assert target == {"spec": SPEC, "release": KERNEL.release, "arch": "x86_64", "source": "ssh:lab", **TOLD}
    reports = [running.run(spec, an_object(tmp_path)).result(10) for spec in ("6.1", SPEC)]
    running.close()
    ours, theirs = (report["result"] for report in reports)
    assert (ours["target"], theirs["target"]) == ("guest", "ssh")
    assert theirs["outcome"] == "passed"
    assert theirs["start"] == "connected"
    assert "left behind on the target: 1 map stayed" in theirs["notes"]
    assert "granted" in ours
    assert "granted" not in theirs
    learned = reports[1]["kernel"]
    assert learned["target"] == "ssh"
    assert not {"accelerator", "sha256", "signed", "flavour"} & learned.keys()
    assert "accelerator" in reports[0]["kernel"]
    assert running.cost.text() == "1 kernel booted, no snapshots reused"
    kernels = [{**guest, **reports[0]["kernel"]}, {**target, **learned}]
    schema.check(
        {"schema": "everykernel/1", "run": identify("tcg"), "results": [ours, theirs], "kernels": kernels}, "here"
    )


def test_without_leave_to_load(tmp_path: Path) -> None:
    """Objects are relocated, and load and run are skipped for a reason that is named."""
    targets = FakeTargets(may_load=False)
    running = campaign(targets)
    result = running.run(SPEC, an_object(tmp_path)).result(10)["result"]
    running.close()
    assert result["outcome"] == "passed"
    assert [result["stages"][name]["status"] for name in ("relocate", "load", "run")] == [
        "passed",
        "skipped",
        "skipped",
    ]
    assert result["stages"]["load"]["message"] == "nothing may be loaded into this target (--target-may-load)"
    asked = [message for message in targets.guests[0].requests if isinstance(message, wire.Load)]
    assert [message.until for message in asked] == ["relocate"]


def test_one_cell_after_the_other(tmp_path: Path) -> None:
    """However wide a run is, a target has one cell at a time; other columns do not wait for it."""
    targets = FakeTargets()
    lock, at_once, most = threading.Lock(), [], []

    def load(message: wire.Load) -> wire.Message:
        with lock:
            at_once.append(message)
            most.append(len(at_once))
        threading.Event().wait(0.05)
        with lock:
            at_once.pop()
        return targets._load(message)

    targets.answer(wire.Load, load)
    running = campaign(targets, SPEC, "6.1", width=4)
    cells = [running.run(SPEC, an_object(tmp_path)) for _ in range(5)]
    assert running.run("6.1", an_object(tmp_path)).result(10)["result"]["outcome"] == "passed"
    for cell in cells:
        cell.result(10)
    running.close()
    assert len(most) == 5
    assert set(most) == {1}


def test_cells_of_targets_take_no_slot(tmp_path: Path) -> None:
    """A machine that is busy with guests does not hold up what runs on others."""
    busy = threading.Semaphore(0)

    @contextlib.contextmanager
    def slot() -> Iterator[None]:
        with busy:
            yield

    running = campaign(FakeTargets(), SPEC, "6.1", width=1, slot=slot)
    waiting = running.run("6.1", an_object(tmp_path))
    assert running.run(SPEC, an_object(tmp_path)).result(10)["result"]["outcome"] == "passed"
    assert not waiting.done()
    busy.release()
    assert waiting.result(10)["result"]["outcome"] == "passed"
    running.close()


def test_no_cell_is_run_again(tmp_path: Path) -> None:
    """What broke on a machine of the user's is not tried a second time."""
    targets = FakeTargets()
    targets.answer(wire.Load, GuestLost("the connection was lost"))
    running = campaign(targets, retries=3)
    result = running.run(SPEC, an_object(tmp_path)).result(10)["result"]
    running.close()
    assert (result["outcome"], result["code"], len(targets.guests)) == ("error", "guest-lost", 1)
    assert "attempts" not in result


def test_a_target_that_cannot_be_used() -> None:
    """It ends the plan, or is a column that says why; without anything that reaches targets it is a usage error."""
    targets: Any = FakeTargets()
    with pytest.raises(TargetUnreachable, match="ssh://other: nobody is there"):
        plan.columns(["6.1", "ssh://other"], targets=targets)
    columns = plan.columns(["6.1", "ssh://other", SPEC], targets=targets, skip_missing=True)
    assert [column.missing for column in columns] == ["", "ssh://other: nobody is there", ""]
    with pytest.raises(UsageError, match="is a target, and this works in guests only"):
        plan.columns([SPEC])


def test_paramiko_is_for_who_has_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it there are no targets, which is said to who names one, and to nobody else."""
    monkeypatch.setitem(sys.modules, "paramiko", None)
    for name in [name for name in sys.modules if name.startswith("everykernel.machine.ssh")]:
        monkeypatch.delitem(sys.modules, name)
    terms: Any = {"may_load": False, "accept_new": False, "timeout": 60.0}
    assert reach(["6.1"], {}, SILENT, **terms) is None
    with pytest.raises(ToolMissing, match=r"pip install 'everykernel\[ssh\]'"):
        reach(["6.1", SPEC], {}, SILENT, **terms)
