"""On a real kernel: where nothing has changed no QEMU starts, and the record is the one that a guest gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from everykernel import folders
from everykernel.compile import compile_all, jobs
from everykernel.machine import Machines, process
from everykernel.matrix import case, kept, plan
from everykernel.matrix.campaign import Campaign
from everykernel.matrix.records import CellReport
from everykernel.matrix.results import identify
from everykernel.matrix.reuse import Reuse

pytestmark = pytest.mark.vm

CASES = ("exec_event", "unresolved")  # one that is attached, triggered and checked; one that is refused, as it expects


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep verdicts apart from those of this machine's user; kernels and snapshots are theirs."""
    compile_all(jobs())
    monkeypatch.setattr(kept, "path", lambda machine, key: tmp_path / machine / f"{key}.json")


def run(*, take: bool = True) -> list[CellReport]:
    machines = Machines("tcg", timeout=60)
    running = Campaign(plan.columns(["6.1"]), machines, reuse=Reuse(identify("tcg"), machines, take=take))
    cases = [case.read(folders.data("cases") / name / "case.toml") for name in CASES]
    reports = [future.result(300) for future in [running.run("6.1", one) for one in cases]]
    running.close()
    return reports


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: timeless(item) for name, item in value.items() if name not in ("seconds", "reused")}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def test_no_machine_starts_where_nothing_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record, kernel and verdict are those that the guest gave; the second run starts no machine."""
    ran = run(take=False)

    def none(*_: Any, **__: Any) -> Any:
        raise AssertionError("a machine was started")

    monkeypatch.setattr(process.Process, "__init__", none)
    taken = run()
    assert [report["result"]["outcome"] for report in taken] == ["passed", "passed"]
    assert all("reused" in report["result"] for report in taken)
    for before, now in zip(ran, taken):
        assert timeless(now["result"]) == timeless(before["result"])
        assert now["kernel"] == before["kernel"]
