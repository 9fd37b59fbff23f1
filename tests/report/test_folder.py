"""The report folder: names lead nowhere, and nothing that a guest says stops it from being written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from everykernel import cli
from everykernel.matrix import records
from everykernel.matrix.ledger import Ledger
from everykernel.matrix.records import CellReport
from everykernel.matrix.results import identify
from everykernel.report.folder import ReportFolder
from everykernel.report.views import VIEWS

NAMES = ["..", ".", "", "/etc/passwd", "../" * 40 + "x", "a\0b", "\x1b[2J\n", "\u202e", "\udcff", "con."]
NAMES += ["x/" * 160 + "y.bpf.o"]


def report(name: str, program: str = "p") -> CellReport:
    result = records.empty(None, name, "6.1", {"cpus": 2, "memory": None})
    result["stages"]["load"]["programs"] = [{"name": program, "status": "failed", "log": f"log of {program!r}"}]
    result["stages"]["relocate"]["relocations"] = [{"program": program}]
    return {"result": result, "kernel": {"spec": "6.1"}, "console": "\udcff"}


@pytest.mark.parametrize("name", NAMES)
def test_names_lead_nowhere(tmp_path: Path, name: str) -> None:
    """Whatever objects and programs are called, their files are below the report's folder, under short plain names."""
    folder = ReportFolder(tmp_path / "out", identify("tcg"), [])
    cell = report(name, name)
    folder.add(cell)
    folder.close([cell["result"]], [{"spec": "6.1"}])
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    files = [path for path in (tmp_path / "out" / "cells").rglob("*") if path.is_file()]
    assert len(files) == 3
    for path in files:
        parts = path.relative_to(tmp_path).parts
        assert all(part.isascii() and part.isprintable() and len(part) <= 88 for part in parts)
    assert (tmp_path / "out" / str(cell["result"]["evidence"])).is_dir()
    assert len(json.loads((tmp_path / "out/results.json").read_text())["results"]) == 1


def test_long_names_stay_apart(tmp_path: Path) -> None:
    """Two paths that differ where they are cut have folders of their own, whose names end as the paths do."""
    folder = ReportFolder(tmp_path, identify("tcg"), [])
    found = set()
    for start in "ab":
        cell = report(start + "x/" * 160 + "tool.bpf.o")
        folder.add(cell)
        found.add(str(cell["result"]["evidence"]).split("/")[1])
    assert len(found) == 2
    assert all(len(name) == 80 and name.endswith("x_tool.bpf.o") for name in found)


def test_evidence_that_cannot_be_written(tmp_path: Path) -> None:
    """Where a cell's evidence has no place, the cell is a harness error, and is in the results as one."""
    folder = ReportFolder(tmp_path, identify("tcg"), [])
    (tmp_path / "cells").write_text("in the way")
    ledger = Ledger([], [folder.add])
    ledger.plan(["x.bpf.o on 6.1"])
    cell = report("x.bpf.o")
    cell["result"]["outcome"] = records.PASSED
    assert ledger.add(cell)
    assert ledger.missing() == []
    [kept] = json.loads((tmp_path / "results.json").read_text())["results"]
    assert (kept["outcome"], kept["code"], kept["evidence"]) == ("error", "harness-error", None)
    assert kept["message"].startswith("its result could not be written: ")
    assert (cell["result"]["outcome"], cell["result"]["message"]) == ("error", kept["message"])


def test_views_are_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`report render` writes the same views as the run did, from its results alone, into a folder that it makes."""
    folder = ReportFolder(tmp_path / "out", identify("tcg"), [])
    cell = report("tool.bpf.o")
    folder.add(cell)
    folder.close([cell["result"]], [{"spec": "6.1"}])
    assert cli.main(["report", "render", str(tmp_path / "out"), "-o", str(tmp_path / "site" / "a")]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "site" / "a" / view.name) for view in VIEWS]
    for view in VIEWS:
        if view.embed is not None:
            continue  # it names the files that it stands beside
        assert (tmp_path / "site" / "a" / view.name).read_bytes() == (tmp_path / "out" / view.name).read_bytes()
    assert cli.main(["report", "render", str(tmp_path / "out"), "-o", str(tmp_path / "out" / "results.json")]) == 4
    assert "matrix.md: cannot be written" in capsys.readouterr().err
