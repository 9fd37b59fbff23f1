"""``pytest --kernel-reuse``: cells whose verdicts are known are items like any other, on fake kernels."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests import faking


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    faking.install(monkeypatch)
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(pytester.path / "cache"))
    faking.objects(pytester.path, good={}, bad={"load": faking.REJECTED})


def run(pytester: pytest.Pytester, *arguments: str) -> tuple[pytest.RunResult, list[Any]]:
    """Return a run of the two objects on two kernels, and its results."""
    ran = pytester.runpytest("good.bpf.o", "bad.bpf.o", "--kernels", "6.1,6.12", "--kernel-report", "out", *arguments)
    return ran, json.loads((pytester.path / "out/results.json").read_text())["results"]


def reused(found: list[Any]) -> int:
    return sum("reused" in one for one in found)


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_verdicts_that_are_known_are_taken(workers: tuple[str, ...], pytester: pytest.Pytester) -> None:
    """Nothing is booted, in whichever process; what failed fails, and the summary says what was not run."""
    if workers:
        pytester.makeconftest(faking.CONFTEST)
    first, found = run(pytester, "--kernel-reuse", *workers)
    first.assert_outcomes(passed=2, failed=2)
    assert reused(found) == 0
    second, found = run(pytester, "--kernel-reuse", *workers)
    second.assert_outcomes(passed=2, failed=2)
    assert reused(found) == 4
    second.stdout.fnmatch_lines(["*4 cells: 2 passed, 2 failed, 4 reused", "nothing was booted"])
    assert {one["test"] for one in found} == {
        f"{name}.bpf.o::{name}[{spec}]" for name in ("good", "bad") for spec in ("6.1", "6.12")
    }


def test_fresh_runs_what_the_project_would_take(pytester: pytest.Pytester) -> None:
    """pyproject.toml may ask for it; a command that runs one cell again says --kernel-fresh then."""
    pytester.makepyprojecttoml("[tool.everykernel]\nreuse = true\n")
    assert reused(run(pytester)[1]) == 0
    found = run(pytester)[1]
    assert reused(found) == 4
    assert "pytest --kernels 6.1 --kernel-fresh 'good.bpf.o::good[6.1]'" in {one["again"] for one in found}
    assert reused(run(pytester, "--kernel-fresh")[1]) == 0


def test_tests_of_users_are_always_run(pytester: pytest.Pytester) -> None:
    """What a test does with its kernel, nobody else can know."""
    pytester.makepyfile("def test_one(load): load('good.bpf.o')")
    for _ in range(2):
        ran = pytester.runpytest("--kernels", "6.1", "--kernel-reuse", "--kernel-report", "out")
        ran.assert_outcomes(passed=1)
        assert reused(json.loads((pytester.path / "out/results.json").read_text())["results"]) == 0


def test_workers_name_the_run_of_their_controller(pytester: pytest.Pytester) -> None:
    """The run that a verdict is said to be of is one that has a report."""
    pytester.makeconftest(faking.CONFTEST)
    run(pytester, "--kernel-reuse", "-n", "1")
    of = json.loads((pytester.path / "out/results.json").read_text())["run"]["id"]
    assert {one["reused"]["run"] for one in run(pytester, "--kernel-reuse")[1]} == {of}
