"""Runs of pytest against a baseline: what is listed is expected to fail, and only changes make a run red."""

from __future__ import annotations

import json

import pytest
from tests import faking

RAN = ("bad.bpf.o", "good.bpf.o")
KERNELS = ("--kernels", "5.10,6.1")
LINE = 'bad.bpf.o load p 5.10..6.1 verifier-rejected "known"\n'
WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")])


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    faking.install(monkeypatch)
    pytester.makeconftest(faking.CONFTEST)
    faking.objects(pytester.path, good={}, bad={"load": faking.REJECTED})


@WORKERS
def test_what_is_listed_is_expected_to_fail(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """Items that fail as the baseline says are xfailed with its reason, pytest ends with 0, and the gate is green."""
    (pytester.path / "known").write_text(LINE)
    result = pytester.runpytest_subprocess(
        *KERNELS, *RAN, "--kernel-baseline", "known", "--kernel-report", "out", "--junitxml", "j.xml", "-rx", *workers
    )
    result.assert_outcomes(passed=2, xfailed=2)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["gate: green; 4 cells: 2 passed, 2 still failing", "XFAIL bad.bpf.o::bad*known*"])
    outcomes = [r["outcome"] for r in json.loads((pytester.path / "out/results.json").read_text())["results"]]
    assert sorted(outcomes) == ["failed", "failed", "passed", "passed"]
    assert 'type="pytest.xfail"' in (pytester.path / "j.xml").read_text()


@WORKERS
def test_a_baseline_is_written(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """What failed is written, and is known the next time."""
    result = pytester.runpytest_subprocess(*KERNELS, *RAN, "--kernel-update-baseline", *workers)
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=2, xfailed=2)
    path = pytester.path / "everykernel.baseline"
    result.stdout.fnmatch_lines(["gate: green*", f"{path}: 2 added, 0 removed, 0 kept"])
    written = path.read_text().splitlines()[-2:]  # both fake guests say that they are 6.1: there is no range of series
    assert written == [f"bad.bpf.o load p {spec} verifier-rejected" for spec in ("5.10", "6.1")]
    again = pytester.runpytest_subprocess(*KERNELS, *RAN, "--kernel-baseline", path.name)
    assert again.ret == pytest.ExitCode.OK


def test_what_changed_is_red(pytester: pytest.Pytester) -> None:
    """What is not listed fails as ever; what is listed and passes makes the run fail, without an item that does."""
    (pytester.path / "known").write_text("tested object bad.bpf.o\n")
    baseline = ("--kernel-baseline", "known")
    result = pytester.runpytest(*KERNELS, *RAN, *baseline)
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        ["gate: red: 1 regressed*", "*regressed: bad.bpf.o load p: verifier-rejected on 5.10..6.1*"]
    )
    faking.objects(pytester.path, bad={})
    (pytester.path / "known").write_text(LINE)
    result = pytester.runpytest(*KERNELS, *RAN, *baseline)
    result.assert_outcomes(passed=4)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["gate: red: 1 fixed but still listed; 4 cells: 4 passed"])


def test_a_part_of_a_run(pytester: pytest.Pytester) -> None:
    """With -k, with --kernel-partial, and where the baseline is the project's own, what was not run is not gone."""
    (pytester.path / "known").write_text(LINE + "tested object gone.bpf.o\n")
    baseline = ("--kernel-baseline", "known")
    assert pytester.runpytest(*KERNELS, *RAN, *baseline).ret == pytest.ExitCode.TESTS_FAILED
    for more in (("-k", "good"), ("--kernel-partial",)):
        result = pytester.runpytest(*KERNELS, *RAN, *baseline, *more)
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(["*of a part: what the baseline says of other objects and kernels is left alone"])
    pytester.makepyprojecttoml('[tool.everykernel]\nbaseline = "known"\n')
    assert pytester.runpytest(*KERNELS, *RAN).ret == pytest.ExitCode.OK


@WORKERS
def test_what_broke_is_counted_apart(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """A guest that broke is an error of its item, whatever is listed, and nothing has regressed."""
    faking.objects(pytester.path, bad={"raise": "GuestLost"})
    (pytester.path / "known").write_text(LINE)
    result = pytester.runpytest_subprocess(*KERNELS, *RAN, "--kernel-baseline", "known", *workers)
    result.assert_outcomes(passed=2, errors=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["gate: indeterminate; 4 cells: 2 passed, 2 indeterminate (2 guest broke)"])
    result.stdout.no_fnmatch_line("*regressed*")


def test_advisory_kernels_and_rules(pytester: pytest.Pytester) -> None:
    """Items of an advisory kernel are xfailed, broken guests too; a broken rule makes the run fail."""
    faking.objects(pytester.path, worse={"raise": "KernelPanic"})
    pytester.makepyprojecttoml('[tool.everykernel]\nadvisory = ["5.10"]\n')
    result = pytester.runpytest(*KERNELS, *RAN, "worse.bpf.o")
    result.assert_outcomes(passed=2, xfailed=2, failed=1, errors=1)
    result = pytester.runpytest("--kernels", "6.1,5.10", "good.bpf.o")
    assert result.ret == pytest.ExitCode.OK
    pytester.makepyprojecttoml('[tool.everykernel]\nrequire = ["runs on 6.12"]\n')
    result = pytester.runpytest(*KERNELS, "good.bpf.o")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*rule broken: runs on 6.12: no cell of this run is on 6.12*"])


def test_a_users_test(pytester: pytest.Pytester) -> None:
    """Tests are listed by file and name, as the matrix calls them."""
    pytester.makepyfile(test_it="def test_x(kernel): assert kernel.spec != '5.10', 'it is old'")
    (pytester.path / "known").write_text("test_it.py::test_x run - 5.10 assertion-failed\n")
    result = pytester.runpytest(*KERNELS, "test_it.py", "--kernel-baseline", "known")
    result.assert_outcomes(passed=1, xfailed=1)
    assert result.ret == pytest.ExitCode.OK


def test_what_is_wrong_ends_pytest_before_anything_runs(pytester: pytest.Pytester) -> None:
    """A baseline that is none, or is not there, is a usage error."""
    (pytester.path / "known").write_text("x\n")
    for name, told in (("known", "*known:1: has 1 word, and no stage*"), ("none", "*there is no such baseline*")):
        result = pytester.runpytest(*KERNELS, *RAN, "--kernel-baseline", name)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([told])


@WORKERS
def test_nothing_ran(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """A run all of whose cells were skipped is no success."""
    pytester.makepyfile(test_it="import pytest\ndef test_x(kernel): pytest.skip('later')")
    result = pytester.runpytest_subprocess(*KERNELS, "test_it.py", *workers)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["harness-error: no cell of this run ran: all 2 of them were skipped"])
