"""``everykernel run --shard`` and ``--from-report``: parts of a run, and its failures again, on fake kernels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests import faking

from everykernel import cli
from everykernel.comparing.merge import merge
from everykernel.matrix import records, results


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faking.install(monkeypatch)
    monkeypatch.chdir(tmp_path)


def cells(path: str) -> list[Any]:
    found: list[Any] = json.loads(Path(path).read_text())["results"]
    return found


def timeless(value: Any) -> Any:
    """Return results without what differs between two runs of one thing: times, and the runs' names."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in ("seconds", "run")}
    return [timeless(v) for v in value] if isinstance(value, list) else value


NAMES = [f"o{n}.bpf.o" for n in range(5)]


@pytest.mark.parametrize("kernels", ["6.1", "5.10,6.1,6.12,6.1/i386"])
def test_four_shards_are_the_whole(kernels: str, tmp_path: Path) -> None:
    """Merged, they equal a run of everything but for times and the runs' names, in whatever order things are named."""
    faking.objects(tmp_path, **{f"o{n}": {"load": faking.REJECTED} if n == 3 else {} for n in range(5)})
    assert cli.main(["run", *NAMES, "--kernels", kernels, "--json", "whole.json"]) == 1
    for index in range(1, 5):
        names, specs = (NAMES, kernels) if index % 2 else (NAMES[::-1], ",".join(reversed(kernels.split(","))))
        cli.main(["run", *names, "--kernels", specs, "--shard", f"{index}/4", "--json", f"{index}.json"])
    merged = merge([results.read(Path(f"{index}.json")) for index in range(1, 5)])
    whole = merge([results.read(Path("whole.json"))])

    assert timeless(merged["results"]) == timeless(whole["results"])
    assert merged["kernels"] == whole["kernels"]
    assert [part["shard"] for part in merged["run"]["parts"]] == ["1/4", "2/4", "3/4", "4/4"]


def test_an_empty_shard_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More shards than cells: what has none says so, boots nothing, and writes a report without cells."""
    faking.objects(tmp_path, good={})
    codes = [
        cli.main(["run", "good.bpf.o", "--kernels", "6.1", "--shard", f"{n}/2", "--json", f"{n}.json"]) for n in (1, 2)
    ]
    assert codes == [0, 0]
    assert sorted(len(cells(f"{n}.json")) for n in (1, 2)) == [0, 1]
    told = capsys.readouterr()
    assert "everykernel: shard 1/2: 1 of 1 cell\n" in told.err
    assert "everykernel: shard 2/2: 0 of 1 cell: there is nothing to run, the other shards have them all" in told.err


def test_what_failed_is_run_again_as_it_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the cells that did not pass, with the memory, rules and last stage that they had; merged, they pass."""
    faking.objects(tmp_path, good={}, bad={"load": faking.REJECTED}, lost={"raise": "GuestLost"})
    run = ["run", "good.bpf.o", "bad.bpf.o", "lost.bpf.o", "--kernels", "6.1,6.12", "--report", "old", "--retries", "0"]
    options = ["--memory", "512", "--rules", "aya", "--until", "load", "--timeout", "30", "--strict-reads"]
    assert cli.main([*run, *options]) == 3
    faking.objects(tmp_path, bad={}, lost={})
    capsys.readouterr()
    assert cli.main(["run", "--from-report", "old", "--failed", "--report", "new"]) == 0
    old, new = cells("old/results.json"), cells("new/results.json")
    assert {(cell["object"], cell["kernel"]) for cell in new} == {
        (name, spec) for name in ("bad.bpf.o", "lost.bpf.o") for spec in ("6.1", "6.12")
    }
    for cell in new:
        [before] = [one for one in old if (one["object"], one["kernel"]) == (cell["object"], cell["kernel"])]
        assert records.asked(before) == records.asked(cell)
        assert before["again"] == cell["again"]
        assert cell["stages"]["run"]["message"] == "not asked for"
    assert cli.main(["report", "merge", "old", "new", "-o", "all"]) == 0
    assert {cell["outcome"] for cell in cells("all/results.json")} == {"passed"}
    capsys.readouterr()
    assert cli.main(["run", "--from-report", "all", "--failed"]) == 0
    assert "everykernel: all: all 6 cells passed: there is nothing to run again" in capsys.readouterr().err


def test_without_failed_all_of_it_is_run(tmp_path: Path) -> None:
    """--from-report alone runs every cell again; --kernels narrows it."""
    faking.objects(tmp_path, good={}, bad={"load": faking.REJECTED})
    cli.main(["run", "good.bpf.o", "bad.bpf.o", "--kernels", "6.1,6.12", "--json", "r.json"])
    assert cli.main(["run", "--from-report", "r.json", "--json", "all.json"]) == 1
    assert len(cells("all.json")) == 4
    assert cli.main(["run", "--from-report", "r.json", "--kernels", "6.12", "--json", "one.json"]) == 1
    assert [cell["kernel"] for cell in cells("one.json")] == ["6.12", "6.12"]


def test_a_report_and_what_it_says_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Objects and what decides verdicts are the report's; --failed needs a report; kernels are needed without one."""
    faking.objects(tmp_path, bad={"load": faking.REJECTED})
    cli.main(["run", "bad.bpf.o", "--kernels", "6.1", "--json", "r.json"])
    for odd, what in (
        (["bad.bpf.o", "--from-report", "r.json"], "--from-report: OBJ is as the report says"),
        (["--memory", "512", "--from-report", "r.json"], "--from-report: --memory is as the report says"),
        (["bad.bpf.o", "--kernels", "6.1", "--failed"], "--failed: of which report?"),
        (["bad.bpf.o"], "run: Missing option '--kernels'"),
        (["--from-report", "r.json", "--kernels", "6.12"], "--kernels: the report has no such cell on 6.12"),
    ):
        capsys.readouterr()
        assert cli.main(["run", *odd]) == 2
        assert f"everykernel: {what}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("again", "what"),
    [
        ("rm -rf /", "is no command of everykernel run"),
        ("", "is no command of everykernel run"),
        ("everykernel run 'x", "cannot be read: no closing quotation"),
        ("everykernel run bad.bpf.o --kernels 6.1 --json /etc/passwd", "says json-file, which no result does"),
        ("everykernel run bad.bpf.o --kernels 6.1 --report /", "says folder, which no result does"),
        ("everykernel run --from-report r.json", "says from-report, which no result does"),
        ("everykernel run --help", "asks for no run"),
        ("everykernel run --frobnicate", "No such option"),
        ("everykernel run bad.bpf.o bad.bpf.o good.bpf.o --kernels 6.1", "means 2 cells, and not one"),
    ],
)
def test_a_report_of_a_stranger_runs_nothing_else(
    again: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its command is ours or none: no shell, no place to write to, one cell; the error names the result."""
    faking.objects(tmp_path, bad={"load": faking.REJECTED}, good={})
    cli.main(["run", "bad.bpf.o", "--kernels", "6.1", "--json", "r.json"])
    found = json.loads(Path("r.json").read_text())
    found["results"][0]["again"] = again
    Path("r.json").write_text(json.dumps(found))
    capsys.readouterr()
    assert cli.main(["run", "--from-report", "r.json", "--failed"]) == 2
    told = capsys.readouterr()
    assert f"everykernel: r.json: results[0].again: {what}" in told.err
    assert not told.out


def test_cells_of_pytest_are_pytests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report of pytest says who runs its cells again."""
    faking.objects(tmp_path, bad={"load": faking.REJECTED})
    cli.main(["run", "bad.bpf.o", "--kernels", "6.1", "--json", "r.json"])
    found = json.loads(Path("r.json").read_text())
    found["results"][0]["test"] = "bad.bpf.o::bad[6.1]"
    Path("r.json").write_text(json.dumps(found))
    assert cli.main(["run", "--from-report", "r.json", "--failed"]) == 2
    hint = "1 cell of this report is pytest's [pytest --kernel-failed --kernel-from-report r.json]"
    assert f"everykernel: r.json: {hint}" in capsys.readouterr().err
