"""``everykernel run --reuse``: nothing changed, nothing runs; on fake kernels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests import faking

import everykernel.machine
from everykernel import cli
from everykernel.matrix import results
from everykernel.report.folder import render

WORLDS: list[faking.World] = []


def world(*arguments: Any) -> faking.World:
    """Return the machines of one run."""
    WORLDS.append(faking.World(*arguments))
    return WORLDS[-1]


@pytest.fixture(autouse=True)
def _world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faking.install(monkeypatch)
    WORLDS.clear()
    monkeypatch.setattr(everykernel.machine, "Machines", world)
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    faking.objects(tmp_path, good={}, bad={"load": faking.REJECTED})


def run(*arguments: str) -> tuple[int, int, list[Any]]:
    """Return exit code, how many guests were started, and the results."""
    code = cli.main(["run", "good.bpf.o", "bad.bpf.o", "--kernels", "6.1,6.12", "--json", "out.json", *arguments])
    return code, len(WORLDS[-1].guests), json.loads(Path("out.json").read_text())["results"]


def timeless(found: list[Any]) -> Any:
    """Return results without their times and where they are from, in the order of the matrix."""
    ordered = sorted(found, key=lambda one: (one["object"], one["kernel"]))
    text = json.dumps([{k: v for k, v in one.items() if k != "reused"} for one in ordered], sort_keys=True)
    return json.loads(text, object_hook=lambda o: {k: v for k, v in o.items() if k != "seconds"})


def test_nothing_changed_nothing_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """No kernel is made ready; verdicts and exit code are the same, and the screen says how many were taken."""
    first = run("--reuse")
    capsys.readouterr()
    second = run("--reuse")
    out, talk = capsys.readouterr()
    assert (first[:2], second[:2]) == ((1, 4), (1, 0))
    assert not WORLDS[-1].prepared
    assert timeless(second[2]) == timeless(first[2])
    assert "4 cells: 2 passed, 2 failed, 4 reused" in out
    assert "nothing was booted" in out
    assert "everykernel: 6.1: 2/2 cells · 1 passed, 1 failed · 2 reused" in talk
    run_id = json.loads(Path("out.json").read_text())["run"]["id"]
    assert {one["reused"]["run"] for one in second[2]} != {run_id}


def test_what_changed_runs_alone(tmp_path: Path) -> None:
    """Another order, and another report folder, change nothing."""
    run("--reuse", "--report", "one")
    faking.objects(tmp_path, bad={})
    cli.main(["run", "bad.bpf.o", "good.bpf.o", "--kernels", "6.12,6.1", "--reuse", "--report", "two"])
    assert sorted(guest.kernel.spec for guest in WORLDS[-1].guests) == ["6.1", "6.12"]
    told = {(r["object"], "reused" in r) for r in results.read(Path("two/results.json"))["results"]}
    assert told == {("good.bpf.o", True), ("bad.bpf.o", False)}


def test_nobody_asked_nothing_is_kept() -> None:
    """Without the option every cell is run, and nothing is left behind."""
    run()
    assert run()[1] == 4
    assert not Path("cache/cells").exists()


def test_fresh_wins_over_the_project() -> None:
    """pyproject.toml may ask for it always; --fresh runs everything, once, and an `again` command does so too."""
    Path("pyproject.toml").write_text("[tool.everykernel]\nreuse = true\n")
    assert [run()[1], run()[1], run("--fresh")[1], run()[1]] == [4, 0, 4, 0]
    assert "everykernel run good.bpf.o --kernels 6.1 --fresh" in {one["again"] for one in run()[2]}
    Path("pyproject.toml").write_text("[tool.everykernel]\nreuse = false\n")
    assert [run()[1], run()[1]] == [4, 4]


def test_a_report_is_run_again_though_nothing_changed() -> None:
    """Its commands are understood with their --fresh; what the run itself says about reuse holds."""
    run("--reuse")
    assert cli.main(["run", "--from-report", "out.json", "--failed"]) == 1
    assert len(WORLDS[-1].guests) == 2


def test_reused_cells_look_so_in_every_report() -> None:
    """Each view tells them from cells that were run, and the ones that name a run name the one that they are of."""
    run("--reuse", "--report", "one")
    run("--reuse", "--report", "two")
    found = results.read(Path("two/results.json"))
    of = found["results"][0]["reused"]["run"]
    render(Path("two/results.json"), Path("views"))
    for name in ("two", "views"):
        folder = Path(name)
        assert f"since run {of}" in (folder / "matrix.md").read_text()
        assert "✓✓✓=" in (folder / "matrix.md").read_text()
        page = (folder / "index.html").read_text()
        assert "status:reused" in page
        assert of in page
        cases = ElementTree.parse(folder / "junit.xml").getroot().iter("testcase")
        told = [p.get("value", "") for case in cases for p in case.iter("property") if p.get("name") == "reused"]
        assert len(told) == 4
        assert all(text.startswith(f"run {of} (") for text in told)
    assert (Path("two") / str(found["results"][0]["evidence"]) / "console.txt").is_file()
    assert "=" not in Path("one/matrix.md").read_text().partition("Three marks")[0]
