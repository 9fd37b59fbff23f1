"""Workers that are lost while they have cells: nothing is lost with them, nothing is told twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests import faking
from tests.cluster.conftest import PATIENCE, Machines

Read = Callable[[Path], dict[str, Any]]
CELLS = 40


def begin(machines: Machines, folder: Path, **settings: str) -> None:
    """Start a run of cells that take a while each."""
    faking.objects(folder, **{f"o{number}": {"n": number, "sleep": 0.5} for number in range(CELLS)})
    names = [f"o{number}.bpf.o" for number in range(CELLS)]
    words = ["run", *names, "--kernels", "6.1", "--cluster", machines.address, "--json", "r.json"]
    machines.client(*words, cwd=folder, **settings)


def wait(path: Path, count: int, read: Read) -> None:
    """Wait for so many results."""
    deadline = time.monotonic() + PATIENCE
    while not path.exists() or len(read(path)["results"]) < count:
        assert time.monotonic() < deadline, "no cell ends any more"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_cells_of_a_lost_worker_are_run_elsewhere(
    machines: Machines, tmp_path: Path, results: Read, number: signal.Signals
) -> None:
    """One worker is killed, or hangs, half way, and one joins late: each cell is there once, its lost tries counted."""
    machines.scheduler(EK_TEST_SILENT="5 s")
    machines.worker("w1")
    machines.worker("w2")
    begin(machines, tmp_path)
    wait(tmp_path / "r.json", 5, results)
    machines.kill("w1", number)
    machines.worker("w3")
    assert machines.processes["client"].wait(PATIENCE) == 0, (tmp_path / "client.log").read_text()
    found = results(tmp_path / "r.json")["results"]
    assert sorted(result["object"] for result in found) == sorted(f"o{n}.bpf.o" for n in range(CELLS))
    assert {result["outcome"] for result in found} == {"passed"}
    moved = [result for result in found if "attempts" in result]
    assert moved
    assert all(result["worker"] in ("w2", "w3") for result in moved)
    tries = [one for result in moved for one in result["attempts"]]
    assert {(one["worker"], one["code"]) for one in tries} == {("w1", "harness-error")}
    assert {one["message"] for one in tries} == {"worker w1 was lost while it had this cell"}
    assert {result["worker"] for result in found} == {"w1", "w2", "w3"}
    log = (tmp_path / "client.log").read_text()
    assert f"everykernel: worker w1 is gone: {len(moved)} of its cells are run elsewhere" in log


def test_a_run_ends_where_no_worker_is_left(machines: Machines, tmp_path: Path, results: Read) -> None:
    """Cells that nobody can run are errors of the harness, which say so, and the run ends."""
    machines.scheduler()
    machines.worker("w1")
    begin(machines, tmp_path, EK_TEST_NO_WORKER="3")
    wait(tmp_path / "r.json", 5, results)
    machines.kill("w1")
    assert machines.processes["client"].wait(PATIENCE) == 4, (tmp_path / "client.log").read_text()
    found = results(tmp_path / "r.json")["results"]
    assert len(found) == CELLS
    errors = [result for result in found if result["outcome"] == "error"]
    assert 0 < len(errors) <= CELLS - 5
    assert {result["code"] for result in errors} == {"harness-error"}
    assert all("no worker offers slots for this everykernel" in result["message"] for result in errors)


def test_a_cell_that_takes_its_workers_with_it_is_given_up(machines: Machines, tmp_path: Path, results: Read) -> None:
    """After so many workers as the scheduler allows, a cell is an error that names them; all others have verdicts."""
    machines.scheduler(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1")
    for name in ("w1", "w2", "w3"):
        machines.worker(name, slots=1)
    faking.objects(tmp_path, bad={"exits": True}, good={"n": 1})
    words = ["run", "bad.bpf.o", "good.bpf.o", "--kernels", "6.1", "--cluster", machines.address, "--json", "r.json"]
    done = machines.run(*words, cwd=tmp_path, EK_TEST_LOSSES="1")
    assert done.returncode == 4, done.stderr
    found = {result["object"]: result for result in results(tmp_path / "r.json")["results"]}
    assert found["good.bpf.o"]["outcome"] == "passed"
    names = [one["worker"] for one in found["bad.bpf.o"]["attempts"]]
    assert len(names) == len(set(names)) == 2
    assert f"2 workers were lost while they had it: {', '.join(names)}" in found["bad.bpf.o"]["message"]
    assert found["bad.bpf.o"]["code"] == "harness-error"


def test_without_a_scheduler_the_run_ends_in_a_line(machines: Machines, tmp_path: Path) -> None:
    """Where nobody listens, nothing is run, and the line says what to start."""
    faking.objects(tmp_path, good={})
    done = machines.run("run", "good.bpf.o", "--kernels", "6.1", "--cluster", "tcp://127.0.0.1:9", cwd=tmp_path)
    assert done.returncode == 4
    assert "everykernel: tcp://127.0.0.1:9: no scheduler answers: " in done.stderr
    assert "EVERYKERNEL_DEBUG=1" in done.stderr.splitlines()[1]
    assert len(done.stderr.splitlines()) == 2
