"""A campaign: kernels made ready once, cells run, guests lent, all of it ended."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from tests import faking

from everykernel import wire
from everykernel.errors import BootFailed, GuestLost, UsageError
from everykernel.machine import MachineSpec
from everykernel.matrix import case, plan
from everykernel.matrix.campaign import Campaign


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> faking.World:
    faking.install(monkeypatch)
    return faking.World()


def campaign(world: faking.World, *specs: str) -> Campaign:
    return Campaign(plan.columns(specs or ["6.1", "6.1/i386"]), world)


def an_object(tmp_path: Path, **script: Any) -> case.Case:
    faking.objects(tmp_path, prog=script)
    return case.bare(tmp_path / "prog.bpf.o")


def test_kernels_are_made_ready_once(world: faking.World, tmp_path: Path) -> None:
    """However many cells need a kernel, it is booted once, and so it is counted."""
    running = campaign(world)
    futures = [running.run(spec, an_object(tmp_path)) for spec in ("6.1", "6.1/i386") for _ in range(3)]
    reports = [future.result(10) for future in futures]
    running.close()
    assert [r["result"]["outcome"] for r in reports] == ["passed"] * 6
    assert running.cost.text() == "2 kernels booted, no snapshots reused"
    assert {r["kernel"]["accelerator"] for r in reports} == {"fake"}


def test_first_failure_of_a_kernel_is_kept(world: faking.World, tmp_path: Path) -> None:
    """A kernel that does not come up is tried once; every cell of it tells why, the others run."""
    world.boot_errors["6.1"] = BootFailed("no answer", console="last words", where="6.1")
    running = campaign(world)
    reports = [running.run("6.1", an_object(tmp_path)).result(10) for _ in range(2)]
    assert [(r["result"]["code"], r["console"]) for r in reports] == [("boot-failed", "last words")] * 2
    assert running.run("6.1/i386", an_object(tmp_path)).result(10)["result"]["outcome"] == "passed"
    with pytest.raises(BootFailed):
        running.start("6.1")
    running.close()
    assert not world.prepared - {("6.1/i386", MachineSpec())}


def test_ended_guests_are_not_lost_ones(world: faking.World, tmp_path: Path) -> None:
    """A cell whose guest ends because the run is over has no result: it is cancelled."""
    begun, go = threading.Event(), threading.Event()

    def load(_: wire.Message) -> wire.Message:
        begun.set()
        go.wait(10)
        raise GuestLost("closed")

    world.answer(wire.Load, load)
    running = campaign(world)
    cell = running.run("6.1", an_object(tmp_path))
    begun.wait(10)
    closing = threading.Thread(target=running.close)
    closing.start()
    while not running._closed:
        pass
    go.set()
    closing.join(10)
    with pytest.raises(CancelledError):
        cell.result(10)


def test_only_kernels_of_the_run(world: faking.World, tmp_path: Path) -> None:
    """A kernel that was not asked for is a usage error that says how to ask."""
    running = campaign(world, "6.1")
    with pytest.raises(UsageError, match=r"kernel '5.10' is not part of this run \[--kernels 5.10\]"):
        running.column("5.10")
    running.close()


def test_missing_kernels_are_columns(world: faking.World) -> None:
    """What no source serves is a column that says why, where the user wants that."""
    columns = plan.columns(["6.1", "6.8"], skip_missing=True)
    assert [c.record().get("missing") for c in columns] == [None, "6.8: no source has this kernel [nearest: 6.1]"]
