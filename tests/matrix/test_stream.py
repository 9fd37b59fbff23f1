"""A run for other programs: each line is what its schema says, and a reader that goes away ends nothing."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
from tests import faking

from everykernel import cli
from everykernel.errors import HarnessError
from everykernel.matrix import records, results, schema, stream
from everykernel.matrix.progress import Board
from everykernel.matrix.stream import Stream

LINE = fastjsonschema.compile(
    json.loads(stream.SCHEMA_PATH.read_text()), handlers={"https": lambda uri: schema.load()}, use_default=False
)


def lines(path: Path) -> list[Any]:
    """Return the lines of a stream, each as its schema says."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for line in found:
        LINE(line)
    return found


@pytest.fixture
def _world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faking.install(monkeypatch)
    monkeypatch.setenv("EVERYKERNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    faking.objects(tmp_path, good={}, bad={"load": faking.REJECTED})


@pytest.mark.usefixtures("_world")
def test_a_run_from_its_beginning_to_its_end() -> None:
    """What is run comes first, each cell whole, where it stands in between, and the exit code last."""
    command = ["run", "good.bpf.o", "bad.bpf.o", "--kernels", "6.1,6.12", "--reuse"]
    for reused in (0, 4):
        assert cli.main([*command, "--json-stream", "stream", "--json", "out.json"]) == 1
        begin, *between, last, end = lines(Path("stream"))
        written = results.read(Path("out.json"))
        assert (begin["event"], begin["kernels"], begin["cells"]) == ("begin", ["6.1", "6.12"], 4)
        assert begin["run"]["id"] == written["run"]["id"]
        assert [line["result"] for line in between if line["event"] == "cell"] == written["results"]
        assert {key: last[key] for key in ("event", "cells", "done", "reused", "running", "left")} == {
            "event": "progress", "cells": 4, "done": 4, "reused": reused, "running": 0, "left": 0,
        }  # fmt: skip
        assert [(one["kernel"], one["outcomes"]) for one in last["kernels"]] == [
            ("6.1", {"passed": 1, "failed": 1}),
            ("6.12", {"passed": 1, "failed": 1}),
        ]
        assert end == {"event": "end", "code": 1}


@pytest.mark.usefixtures("_world")
def test_how_a_run_ended_that_broke() -> None:
    """An error's exit code is told as well; a stream that cannot be opened is one line, before anything is run."""
    faking.objects(Path(), good={"raise": "HarnessError"})
    assert cli.main(["run", "good.bpf.o", "--kernels", "6.1", "--json-stream", "stream"]) == 4
    assert lines(Path("stream"))[-1] == {"event": "end", "code": 4}
    with pytest.raises(HarnessError, match="nowhere/stream: cannot be written: No such file or directory"):
        Stream(Path("nowhere/stream"))


@pytest.mark.usefixtures("_world")
def test_no_report_says_where_a_stream_goes(capsys: pytest.CaptureFixture[str]) -> None:
    """The command that runs a cell again has none, and one that has is refused."""
    cli.main(["run", "bad.bpf.o", "--kernels", "6.1", "--json-stream", "stream", "--json", "out.json"])
    found = json.loads(Path("out.json").read_text())
    assert found["results"][0]["again"] == "everykernel run bad.bpf.o --kernels 6.1"
    found["results"][0]["again"] += " --json-stream /etc/passwd"
    Path("out.json").write_text(json.dumps(found))
    assert cli.main(["run", "--from-report", "out.json"]) == 2
    assert "says json-stream, which no result does" in capsys.readouterr().err


def a_cell(number: int) -> Any:
    return {"result": {**records.empty(f"c{number}", "a.bpf.o", "6.1", {}), "outcome": "passed"}}


def test_a_reader_that_goes_away_is_told_once(tmp_path: Path) -> None:
    """The run goes on, and says so in a line."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def read() -> None:
        with fifo.open() as file:
            file.readline()

    reader = threading.Thread(target=read)
    reader.start()
    told: list[str] = []
    made = Stream(fifo, told.append)
    made.note("first")
    reader.join(10)
    for number in range(3):
        made.cell(a_cell(number))
    made.end(Board().standing(), 0)
    assert told == [f"{fifo}: nobody reads the stream any more (Broken pipe): the run goes on without it"]


def test_where_a_run_stands_is_told_where_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each look at it, nor for each cell of many at once; a long cell has no lines."""
    now = [0.0]
    monkeypatch.setattr("everykernel.matrix.stream.time.monotonic", lambda: now[0])
    made, board = Stream(tmp_path / "stream"), Board()
    board.expect("6.1", 3, machine="cpus 4")
    for _ in range(3):
        made.stands(board.standing())
        now[0] += 10
    for _ in range(3):
        board.ended("6.1", "passed", machine="cpus 4")
        made.stands(board.standing())
    made.end(board.standing(), 0)
    found = lines(tmp_path / "stream")
    assert [line.get("done") for line in found] == [0, 1, 3, None]
    assert found[0]["kernels"][0]["machine"] == "cpus 4"


def test_what_is_no_line_is_refused() -> None:
    """The schema does not take just anything."""
    for wrong in ({}, {"event": "cell"}, {"event": "end", "code": "x"}, {"event": "surprise"}):
        with pytest.raises(fastjsonschema.JsonSchemaValueException):
            LINE(wrong)
