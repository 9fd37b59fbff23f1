"""``--kernel-shard``, ``--kernel-from-report`` and ``--kernel-failed``, on fake kernels."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests import faking

from everykernel.comparing.merge import merge
from everykernel.matrix import results

KERNELS = ("--kernels", "5.10,6.1,6.12,6.1/i386")
TESTS = """
    import pytest

    def test_alone(kernel): pass

    @pytest.mark.kernel(scope="module")
    def test_first(kernel): pass

    @pytest.mark.kernel(scope="module")
    def test_second(kernel): pass

    def test_without(): pass
"""


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    faking.install(monkeypatch)


def ran(result: pytest.RunResult) -> list[str]:
    """Return the nodes that passed or failed, from a verbose run."""
    found = (re.search(r"^(\S+::\S+) (?:PASSED|FAILED)|(?:PASSED|FAILED) (\S+::\S+)", line) for line in result.outlines)
    return sorted({one[1] or one[2] for one in found if one is not None})


@pytest.mark.parametrize("kernels", ["6.1", "5.10,6.1,6.12,6.1/i386"])
def test_four_shards_are_the_whole(kernels: str, pytester: pytest.Pytester) -> None:
    """Each item is in one shard, tests without a kernel in the first; merged, their reports have every cell once."""
    faking.objects(pytester.path, good={}, bad={"load": faking.REJECTED})
    file = pytester.makepyfile(TESTS).name
    run = ["--kernels", kernels, "-v", file, "good.bpf.o", "bad.bpf.o"]
    whole = ran(pytester.runpytest(*run, "--kernel-report", "whole"))
    shards = [ran(pytester.runpytest(*run, "--kernel-shard", f"{n}/4", "--kernel-report", f"{n}")) for n in range(1, 5)]
    assert sorted(node for shard in shards for node in shard) == whole
    assert f"{file}::test_without" in shards[0]
    for spec in kernels.split(","):
        homes = [
            n
            for n, shard in enumerate(shards)
            for name in ("first", "second")
            if f"{file}::test_{name}[{spec}]" in shard
        ]
        assert len(homes) == 2
        assert len(set(homes)) == 1
    found = merge([results.read(pytester.path / f"{n}/results.json") for n in range(1, 5)])
    all_of_them = results.read(pytester.path / "whole/results.json")
    assert sorted(str(cell["test"]) for cell in found["results"]) == sorted(
        str(c["test"]) for c in all_of_them["results"]
    )
    assert {kernel["spec"] for kernel in found["kernels"]} == {kernel["spec"] for kernel in all_of_them["kernels"]}
    assert [part["shard"] for part in found["run"]["parts"]] == ["1/4", "2/4", "3/4", "4/4"]


def test_workers_divide_as_one_process_does(pytester: pytest.Pytester) -> None:
    """With pytest-xdist the same items are in a shard."""
    faking.objects(pytester.path, a={}, b={}, c={})
    pytester.makeconftest(faking.CONFTEST)
    run = ["--kernels", "6.1,6.12", "-v", "a.bpf.o", "b.bpf.o", "c.bpf.o", "--kernel-shard", "1/3"]
    alone = ran(pytester.runpytest_subprocess(*run))
    both = pytester.runpytest_subprocess(*run, "-n", "2", "--kernel-report", "out")
    assert ran(both) == alone
    assert len(alone) == 2
    found = json.loads((pytester.path / "out/results.json").read_text())
    assert sorted(cell["test"] for cell in found["results"]) == alone
    assert found["run"]["shard"] == "1/3"


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_an_empty_shard_is_no_error(workers: tuple[str, ...], pytester: pytest.Pytester) -> None:
    """A shard that has no item says so and ends well; a run that has none at all still does not."""
    faking.objects(pytester.path, a={})
    pytester.makeconftest(faking.CONFTEST)
    found = [
        pytester.runpytest_subprocess("--kernels", "6.1", "a.bpf.o", "--kernel-shard", f"{n}/2", *workers)
        for n in (1, 2)
    ]
    assert [result.ret for result in found] == [0, 0]
    found[1].stdout.fnmatch_lines(["everykernel: 0 of 1 items are in shard 2/2: the other shards have them all"])
    nothing = pytester.runpytest_subprocess(
        "--kernels", "6.1", "-k", "nothing", "a.bpf.o", "--kernel-shard", "1/2", *workers
    )
    assert nothing.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_what_is_no_shard(pytester: pytest.Pytester) -> None:
    """A wrong shard is one line, before anything is collected."""
    result = pytester.runpytest(*KERNELS, "--kernel-shard", "5/4")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: everykernel: --kernel-shard: '5/4' is no shard *"])


def test_only_what_failed_is_run_again(pytester: pytest.Pytester) -> None:
    """The items of a report that did not pass, on its kernels without naming any; merged, everything passes."""
    faking.objects(pytester.path, good={}, bad={"load": faking.REJECTED})
    pytester.makepyfile("def test_own(kernel): assert kernel.spec != '6.12'", test_other="def test_other(): pass")
    files = ["test_only_what_failed_is_run_again.py", "test_other.py", "good.bpf.o", "bad.bpf.o"]
    pytester.runpytest("--kernels", "6.1,6.12", *files, "--kernel-report", "old")
    faking.objects(pytester.path, bad={})
    pytester.makepyfile("def test_own(kernel): pass")
    again = pytester.runpytest("-v", *files, "--kernel-from-report", "old", "--kernel-failed", "--kernel-report", "new")
    again.assert_outcomes(passed=3, deselected=4)
    assert ran(again) == [
        "bad.bpf.o::bad[6.12]", "bad.bpf.o::bad[6.1]", "test_only_what_failed_is_run_again.py::test_own[6.12]"
    ]  # fmt: skip
    found = merge([results.read(pytester.path / name / "results.json") for name in ("old", "new")])
    assert {cell["outcome"] for cell in found["results"]} == {"passed"}
    assert len(found["results"]) == 6
    results.write(pytester.path / "all.json", found)
    nothing = pytester.runpytest(*files, "--kernel-from-report", "all.json", "--kernel-failed")
    assert nothing.ret == 0
    nothing.stdout.fnmatch_lines(["everykernel: every cell of the report passed: there is nothing to run again"])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"results": [{}]}, "*r.json: results[[]0[]] must contain *"),
        (None, "*r.json: cannot be read: No such file*"),
    ],
)
def test_a_report_that_is_none(change: Any, what: str, pytester: pytest.Pytester) -> None:
    """What is no results file is a usage error that names the place."""
    if change is not None:
        faking.objects(pytester.path, good={})
        pytester.runpytest("--kernels", "6.1", "good.bpf.o", "--kernel-report", "out")
        whole = json.loads((pytester.path / "out/results.json").read_text())
        Path("r.json").write_text(json.dumps({**whole, **change}))
    result = pytester.runpytest("good.bpf.o", "--kernel-from-report", "r.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([what])


def test_failed_of_no_report(pytester: pytest.Pytester) -> None:
    """--kernel-failed says what it lacks."""
    result = pytester.runpytest(*KERNELS, "--kernel-failed")
    result.stderr.fnmatch_lines(["ERROR: everykernel: --kernel-failed: of which report? *--kernel-from-report FILE*"])
