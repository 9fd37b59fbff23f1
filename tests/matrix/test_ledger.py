"""The ledger: a cell is recorded once it is written, and one that was planned and is not is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from everykernel.matrix import records, results
from everykernel.matrix.ledger import Ledger, lost
from everykernel.matrix.records import CellReport
from everykernel.matrix.results import Journal, identify


def report(name: str = "x.bpf.o", **more: Any) -> CellReport:
    result: Any = {**records.empty(None, name, "6.1", {"memory": None}), "outcome": "passed", **more}
    return {"result": result, "kernel": {"spec": "6.1", "release": "6.1.0"}, "console": ""}


def test_each_cell_once() -> None:
    """A cell that is told twice is kept once."""
    written: list[CellReport] = []
    ledger = Ledger([], [written.append])
    assert [ledger.add(report()), ledger.add(report())] == [True, False]
    assert len(written) == len(ledger.results) == 1
    assert ledger.kernels == [{"spec": "6.1", "release": "6.1.0"}]


def test_a_writer_that_breaks(tmp_path: Path) -> None:
    """What a writer cannot write becomes the cell's harness error, and that is what is in the results."""
    path = tmp_path / "results.json"
    with Journal(path, identify("tcg"), []) as journal:
        ledger = Ledger([], [lambda cell: journal.add(cell["result"], cell["kernel"])])
        cell = report(problems=[object()])
        assert ledger.add(cell)
        assert ledger.add(report("good.bpf.o"))
    broken, good = results.read(path)["results"]
    assert (broken["outcome"], broken["code"]) == ("error", "harness-error")
    assert broken["message"] == (
        "its result could not be written: TypeError: Object of type object is not JSON serializable"
    )
    assert good["outcome"] == "passed"
    assert cell["result"]["outcome"] == "error"
    assert "TypeError" in cell["trace"]
    assert ledger.missing() == []


def test_a_kernel_record_that_breaks(tmp_path: Path) -> None:
    """What a guest said of its kernel, and JSON cannot hold, harms its own cell only."""
    path = tmp_path / "results.json"
    with Journal(path, identify("tcg"), []) as journal:
        ledger = Ledger([], [lambda cell: journal.add(cell["result"], cell["kernel"])])
        ledger.add({**report(), "kernel": {"spec": "6.1", "cpus": float("nan")}})  # type: ignore[typeddict-item]
        ledger.add(report("good.bpf.o"))
    assert [r["outcome"] for r in results.read(path)["results"]] == ["error", "passed"]


def test_a_disk_that_is_full() -> None:
    """A cell that no writer takes in any form is in memory, its error said, and missing from what was planned."""

    def full(_: CellReport) -> None:
        raise OSError(28, "No space left on device")

    ledger = Ledger([], [full])
    ledger.plan(["x.bpf.o on 6.1", "y.bpf.o on 6.1"])
    assert ledger.add(report())
    assert ledger.results[0]["code"] == "harness-error"
    assert ledger.missing() == ["x.bpf.o on 6.1", "y.bpf.o on 6.1"]
    assert ledger.tally() == "0 of 2 cells recorded"


def test_only_one_file_fails(tmp_path: Path) -> None:
    """Of two files, the one that takes it has the cell once."""
    taken: list[str] = []

    def picky(cell: CellReport) -> None:
        if cell["result"]["outcome"] == "passed":
            raise ValueError("no")

    ledger = Ledger([], [lambda cell: taken.append(cell["result"]["outcome"]), picky])
    ledger.add(report())
    assert taken == ["passed"]
    assert ledger.results[0]["outcome"] == "error"


def test_interrupted_writers_leave_the_cell_to_be_taken_again() -> None:
    """Ctrl-C within a writer: the cell does not count as seen."""
    calls: list[int] = []

    def write(_: CellReport) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt

    ledger = Ledger([], [write])
    with pytest.raises(KeyboardInterrupt):
        ledger.add(report())
    assert ledger.add(report())
    assert len(ledger.results) == 1


def test_planned_and_recorded_are_compared() -> None:
    """A cell that was planned and never came is named; one that had a reason not to come is not."""
    ledger = Ledger([])
    ledger.plan(["x.bpf.o on 6.1", "y.bpf.o on 6.1", "t.py::t[6.1]", "s.py::t[6.1]"])
    ledger.add(report())
    ledger.add(report("z", test="t.py::t[6.1]"))
    ledger.drop("s.py::t[6.1]")
    assert ledger.missing() == ["y.bpf.o on 6.1"]
    assert ledger.tally() == "2 of 3 cells recorded"
    assert str(lost(ledger.missing())) == "1 cell of this run is not in its results: y.bpf.o on 6.1"
    assert str(lost([str(n) for n in range(12)])).endswith(
        "12 cells of this run are not in its results: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    )
