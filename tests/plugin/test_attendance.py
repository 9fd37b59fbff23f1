"""Every cell that was planned is in the results, or the run says so and fails: in one process, in workers, stopped."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests import faking

from everykernel.matrix.ledger import Ledger
from everykernel.plugin.attendance import Attendance
from everykernel.report import evidence

KERNELS = ("--kernels", "6.1,6.1/i386")
REPORT = ("--kernel-report", "out")


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    faking.install(monkeypatch)


def kept(pytester: pytest.Pytester) -> dict[str, str]:
    data = json.loads((pytester.path / "out/results.json").read_text())
    return {f"{r['case'] or r['object']} {r['kernel']}": r["code"] or r["outcome"] for r in data["results"]}


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_odd_records_are_in_the_results(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """A guest that answers with records of odd shape breaks its own cell, which the results and the exit code tell."""
    pytester.makeconftest(faking.CONFTEST)
    odd: dict[str, Any] = {
        "good": {},
        "status": {"load": {"status": "banana"}},
        "programs": {"load": {"programs": "x"}},
        "program": {"load": {"programs": [None]}},
        "code": {"load": {"status": "failed", "code": []}},
    }
    faking.objects(pytester.path, **odd)
    names = [f"{name}.bpf.o" for name in odd]
    result = pytester.runpytest_subprocess("--kernels", "6.1", *names, *REPORT, *workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = kept(pytester)
    assert set(found) == {f"{name} 6.1" for name in names}
    assert found.pop("good.bpf.o 6.1") == "passed"
    assert set(found.values()) <= {"guest-lost", "harness-error"}
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_writer_that_breaks_is_an_error_of_the_item(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects and tests alike: what cannot be written is a harness error, there and in the results."""

    def broken(folder: Any, report: Any) -> str:
        raise AttributeError("'str' object has no attribute 'get'")

    monkeypatch.setattr(evidence, "write", broken)
    faking.objects(pytester.path, good={})
    pytester.makepyfile(test_it="def test_x(kernel): pass")
    result = pytester.runpytest("--kernels", "6.1", "good.bpf.o", "test_it.py", *REPORT)
    result.assert_outcomes(errors=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert kept(pytester) == {"good.bpf.o 6.1": "harness-error", "test_it.py::test_x 6.1": "harness-error"}
    result.stdout.fnmatch_lines(
        [
            "2 cells: 0 passed, 2 harness broke",
            "*on 6.1: harness-error: its result could not be written: AttributeError*",
        ]
    )


def test_a_writer_that_breaks_in_the_controller(pytester: pytest.Pytester) -> None:
    """The same with -n: workers are well, and the run fails all the same."""
    pytester.makeconftest(
        faking.CONFTEST
        + """
from everykernel.report import evidence
def broken(folder, report):
    raise AttributeError("no")
evidence.write = broken
"""
    )
    faking.objects(pytester.path, good={})
    pytester.makepyfile(test_it="def test_x(kernel): pass")
    result = pytester.runpytest_subprocess("--kernels", "6.1", "good.bpf.o", "test_it.py", *REPORT, "-n", "2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert kept(pytester) == {"good.bpf.o 6.1": "harness-error", "test_it.py::test_x 6.1": "harness-error"}
    result.stdout.fnmatch_lines(["2 cells: 0 passed, 2 harness broke"])


LOSE = """
from everykernel.matrix.ledger import Ledger
add = Ledger.add
def lose(self, report):
    return "lost" not in (report["result"]["object"] or "") and add(self, report)
Ledger.add = lose
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_cell_that_is_lost_is_named(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """Whatever loses a cell: the run ends with pytest's internal error, and names it."""
    pytester.makeconftest(faking.CONFTEST + LOSE)
    faking.objects(pytester.path, good={}, lost={})
    result = pytester.runpytest_subprocess(*KERNELS, "good.bpf.o", "lost.bpf.o", *workers)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(
        [
            "harness-error: 2 cells of this run are not in its results: "
            "lost.bpf.o::lost[[]6.1[]], lost.bpf.o::lost[[]6.1/i386[]]"
        ]
    )


def test_a_disk_that_is_full(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells that results.json could not take are named, and the exit code is not 0."""
    monkeypatch.setattr(Ledger, "_write", lambda self, report: False)
    faking.objects(pytester.path, good={})
    result = pytester.runpytest("--kernels", "6.1", "good.bpf.o")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["harness-error: 1 cell of this run is not in its results: good.bpf.o::good[[]6.1[]]"])


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_what_was_not_to_be_run_is_not_missed(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """Deselected items, skipped ones, kernels that are missing, and tests that never had a kernel miss no result."""
    pytester.makeconftest(faking.CONFTEST)
    faking.objects(pytester.path, good={}, other={})
    pytester.makepyfile(
        test_it="""
        import pytest
        @pytest.mark.parametrize("x", ["6.1", "y"])
        def test_plain(x): pass
        @pytest.mark.skip
        def test_skipped(kernel): pass
        def test_skips(kernel): pytest.skip("now")
        @pytest.mark.xfail(strict=True)
        def test_xfail(kernel): assert 0
        @pytest.fixture
        def broken(): raise ValueError
        def test_never_had_one(broken, kernel): pass
        """
    )
    names = ("good.bpf.o", "other.bpf.o", "test_it.py")
    missing = ("--kernels", "6.1,6.1/i386,6.8", "--kernels-missing", "skip")
    result = pytester.runpytest_subprocess(
        *missing, *names, *workers, "-k", "not other", "--deselect", "good.bpf.o::good[6.1/i386]"
    )
    result.assert_outcomes(passed=3, skipped=8, xfailed=2, errors=3, deselected=0 if workers else 4)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.no_fnmatch_line("*harness-error*")
    result = pytester.runpytest_subprocess(*missing, *names, *workers, "-k", "not other and not broken and not never")
    assert result.ret == pytest.ExitCode.OK


def test_a_worker_that_dies(pytester: pytest.Pytester) -> None:
    """The cell in whose test a worker died has no result, and is named; the others have theirs."""
    pytester.makeconftest(faking.CONFTEST)
    pytester.makepyfile(
        test_it="import os\ndef test_dies(kernel): os._exit(1)\ndef test_a(kernel): pass\ndef test_b(kernel): pass"
    )
    result = pytester.runpytest_subprocess(
        "--kernels", "6.1", "test_it.py", "-n", "1", "--max-worker-restart=2", *REPORT
    )
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert set(kept(pytester)) == {"test_it.py::test_a 6.1", "test_it.py::test_b 6.1"}
    result.stdout.fnmatch_lines(
        ["harness-error: 1 cell of this run is not in its results: test_it.py::test_dies[[]6.1[]]"]
    )


def test_no_worker_lives(pytester: pytest.Pytester) -> None:
    """Where every worker dies, the items' names tell what is missing."""
    pytester.makeconftest(faking.CONFTEST)
    pytester.makepyfile(test_it="import os\ndef test_dies(kernel): os._exit(1)")
    result = pytester.runpytest_subprocess("--kernels", "6.1", "test_it.py", "-n", "1", "--max-worker-restart=0")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(
        ["harness-error: 1 cell of this run is not in its results: test_it.py::test_dies[[]6.1[]]"]
    )


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_interrupted(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """Ctrl-C says how many cells of how many are recorded; what had not begun is not called lost."""
    pytester.makeconftest(faking.CONFTEST)
    pytester.makepyfile(
        "def test_a(kernel): pass\ndef test_b(kernel): raise KeyboardInterrupt\ndef test_c(kernel): pass"
    )
    result = pytester.runpytest_subprocess("--kernels", "6.1", *REPORT, *workers)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert len(kept(pytester)) == 1
    result.stdout.fnmatch_lines(["stopped: 1 of 3 cells recorded"])
    result.stdout.no_fnmatch_line("*harness-error*")


def test_stopped_at_the_first_failure(pytester: pytest.Pytester) -> None:
    """-x leaves cells undone, says how many are recorded, and keeps pytest's exit code."""
    faking.objects(pytester.path, bad={"load": faking.REJECTED})
    pytester.makepyfile(test_it="def test_x(kernel): pass")
    result = pytester.runpytest("--kernels", "6.1", "bad.bpf.o", "test_it.py", "-x")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["stopped: 1 of 2 cells recorded"])


def test_attendance_of_a_run_that_was_stopped() -> None:
    """A cell that pytest reported and that has no result is missing, stopped or not."""
    attendance = Attendance()
    attendance.plan(["a", "b", "c"])
    report: Any = pytest.TestReport("a", ("x", 1, ""), {}, "passed", None, "call")
    attendance.follow(report)
    attendance.close([], stopped=True)
    assert attendance.told == "stopped: 0 of 3 cells recorded"
    assert attendance.error == "harness-error: 1 cell of this run is not in its results: a"
