"""What a cell opens: all that its result tells, each text printable and no longer than a page can bear."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from everykernel import escaping
from everykernel.escaping import printable
from everykernel.loaders.names import OWN
from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult
from everykernel.reasons import REASONS
from everykernel.report import blocks, marks
from everykernel.report.files import Files
from everykernel.report.runview import asks, logs
from everykernel.report.runview.rows import Row

_PROGRAMS, _MAPS, _PROBLEMS, _NOTES, _CALLS = 2000, 1000, 200, 60, 300
_LINE, _BLOCK = 1000, 12 << 10  # characters of a line, and of a block of text


def of_row(row: Row, files: Files) -> dict[str, Any]:
    """Return what the page holds of a row's cells, beside the matrix."""
    found = [(number, cell) for number, cells in enumerate(row.cells) for cell in cells]
    relocations = [_stage(cell.result, "relocate").get("relocations", []) for _, cell in found]
    told = asks.asked(relocations)
    cells = []
    for (column, cell), answers in zip(found, told["of"]):
        cells.append({"column": column, "number": cell.number, "answers": answers, **_of_cell(cell.result, files)})
    return {"asks": told["asks"], "answers": told["answers"], "cells": cells}


def _of_cell(result: CaseResult, files: Files) -> dict[str, Any]:
    code = result.get("code", "")
    wanted = result.get("outcome") != records.PASSED or result.get("warnings")
    return {
        "outcome": result.get("outcome", ""),
        "stage": result.get("stage", ""),
        "code": code,
        "message": _line(result.get("message", "")),
        "hint": REASONS[code].remedy if code in REASONS else "",
        "stages": [_of_stage(result, name) for name in STAGES],
        "problems": _problems(result),
        "programs": _programs(result),
        "maps": [_map(made) for made in _stage(result, "load").get("maps", [])[:_MAPS]],
        "misreads": [
            f"{_line(m['program'])}: {_line(records.in_words(m))}" for m in result.get("misreads", [])[:_NOTES]
        ],
        "warnings": [_block(text) for text in result.get("warnings", [])[:_NOTES]],
        "notes": [_line(text) for text in _notes(result)],
        "seen": _seen(result),
        "command": _command(result),
        "seconds": result.get("seconds", 0),
        "start": result.get("start", ""),
        "console": escaping.block(files.console(result)).rstrip() if wanted else "",
        "files": files.link(result),
        "again": _line(result.get("again", "")),
        "attempts": [_attempt(one, files) for one in _earlier(result)],
        "facts": _facts(result),
        "machine": _machine(result),
    }


def _earlier(result: CaseResult) -> list[CaseResult]:
    """Return the attempts before, where a cell was run again."""
    found: Any = dict(result).get("attempts", [])
    return list(found)[:_NOTES]


def _attempt(result: CaseResult, files: Files) -> list[str]:
    """Return what became of an attempt before: outcome, code, words, console, the address of its files."""
    code, outcome = result.get("code", ""), result.get("outcome", "")
    console = escaping.block(files.console(result)).rstrip()
    return [outcome, code, _line(result.get("message", "")), console, files.link(result)]


def _stage(result: CaseResult, name: str) -> dict[str, Any]:
    return dict(result.get("stages", {}).get(name, {}))


def _of_stage(result: CaseResult, name: str) -> list[Any]:
    stage = _stage(result, name)
    mark = marks.of_stage(result, name)
    expected = stage.get("expected") or {}
    return [
        name,
        mark.symbol,
        stage.get("status", ""),
        stage.get("code", ""),
        _line(stage.get("message", "")),
        stage.get("seconds", 0),
        _line(expected.get("reason", "")),
    ]


def _problems(result: CaseResult) -> list[list[Any]]:
    """Return what was not expected, the programs of one reason together: stage, code, words, programs, hint."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for problem in result.get("problems", [])[:_PROGRAMS]:
        key = (problem.get("stage", ""), problem.get("code", ""), blocks.said(problem))
        groups.setdefault(key, []).append(problem.get("program", ""))
    return [
        [
            stage,
            code,
            _line(said),
            [printable(p) for p in programs if p],
            REASONS[code].remedy if code in REASONS else "",
        ]
        for (stage, code, said), programs in list(groups.items())[:_PROBLEMS]
    ]


def _programs(result: CaseResult) -> list[dict[str, Any]]:
    """Return each program once, with what every stage made of it."""
    uses = {use.get("name"): use for use in _stage(result, "run").get("uses", [])}
    wrong = {(p.get("stage", ""), p.get("program", "")) for p in result.get("problems", [])}
    found: dict[str, dict[str, Any]] = {}
    for name in STAGES:
        for program in _stage(result, name).get("programs", [])[:_PROGRAMS]:
            one = found.setdefault(program.get("name", ""), {"name": printable(program.get("name", ""))})
            for key in ("section", "type", "attach", "variant"):
                if program.get(key):
                    one[key] = printable(program[key])
            for key in ("insns", "verified_insns"):
                if program.get(key) is not None:
                    one[key] = program[key]
            if program.get("status") == "failed":
                one.setdefault("why", []).append(_why(name, program, (name, program.get("name", "")) in wrong))
            if program.get("log"):
                one["states"] = logs.states(program["log"])
                if name == "load":
                    source = program.get("source", "")
                    one["log"] = logs.folded(program["log"], program.get("message", ""), source)
    for key, one in found.items():
        if key in uses:
            one["runs"] = uses[key].get("runs")
            one["attached"] = bool(uses[key].get("attached"))
    return list(found.values())


def _why(stage: str, program: Mapping[str, Any], wrong: bool) -> list[Any]:
    """Return why a stage failed of a program: stage, code, words, whether that was not expected, why it was."""
    expected = program.get("expected") or {}
    code, message = program.get("code", ""), _line(program.get("message", ""))
    return [stage, code, message, wrong, _line(expected.get("reason", ""))]


def _map(made: Mapping[str, Any]) -> list[Any]:
    sizes = [made.get(key) for key in ("key_size", "value_size", "max_entries")]
    why = made.get("message") or made.get("note") or ""
    return [
        printable(made.get("name", "")),
        printable(made.get("type", "")),
        *sizes,
        made.get("status", ""),
        _line(why),
    ]


def _notes(result: CaseResult) -> Iterable[str]:
    every = [*result.get("notes", []), *(note for name in STAGES for note in _stage(result, name).get("notes", []))]
    whole = _stage(result, "load").get("whole", {})
    if whole.get("status") == "failed":
        every.append(f"{whole.get('loader')} refuses the object as a whole: {whole.get('message')}")
    return every[:_NOTES]


def _seen(result: CaseResult) -> list[list[str]]:
    """Return what the run stage saw: a name and a text each."""
    found = []
    for name, value in (_stage(result, "run").get("evidence") or {}).items():
        if name == "trigger" and isinstance(value, dict):
            argv = value.get("argv", [])
            text = f"$ {shlex.join(map(str, argv))}\n{value.get('stdout', '')}{value.get('stderr', '')}"
            found.append([name, _block(f"{text.rstrip()}\n[exit code {value.get('exit')}]")])
        elif value not in (None, "", [], {}):
            text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
            found.append([printable(name), _block(text)])
    return found[:_NOTES]


def _command(result: CaseResult) -> dict[str, Any] | None:
    """Return what a command did: how it ended, what it wrote, and its bpf(2) calls."""
    command = _stage(result, "run").get("command")
    if not command:
        return None
    end = (
        f"exit code {command.get('exit')}" if command.get("end") == "exit" else command.get("signal") or command["end"]
    )
    return {
        "argv": _line(shlex.join(map(str, command.get("argv", [])))),
        "end": f"{end} after {command.get('seconds', 0):.1f} s",
        "written": [[name, _block(_written(command.get(name) or {}))] for name in ("stdout", "stderr")],
        "calls": [_call(call) for call in command.get("calls", [])[:_CALLS]],
        "more": max(0, len(command.get("calls", [])) - _CALLS) + command.get("calls_left_out", 0),
        "blamed": command.get("blamed"),
    }


def _written(output: Mapping[str, Any]) -> str:
    left = output.get("left_out", 0)
    middle = f"\n[{left} bytes are left out here]\n" if left else ""
    return f"{output.get('first', '')}{middle}{output.get('last', '')}".rstrip()


def _call(call: Mapping[str, Any]) -> list[Any]:
    why = " ".join(filter(None, [call.get("code", ""), call.get("message", "")]))
    what = " ".join(filter(None, [call.get("type", ""), call.get("attach", "")]))
    return [
        call.get("at", 0),
        *map(_line, (call.get("command", ""), call.get("name", ""), what, call.get("errno") or "", why)),
    ]


def _facts(result: CaseResult) -> list[list[str]]:
    """Return what the cell is, for its provenance."""
    granted = result.get("granted")
    loader = result.get("loader", OWN)
    found = [
        ("object", result.get("object")),
        ("sha256", result.get("sha256")),
        ("case", result.get("case")),
        ("test", result.get("test")),
        ("target", result.get("target")),
        ("loader", " ".join(filter(None, ["" if loader == OWN else loader, result.get("loader_version")])) or "own"),
        ("rules", result.get("rules")),
        ("BTF", result.get("btf")),
        ("machine", _machine(result)),
        ("memory given", f"{granted['memory']} MiB" if granted else ""),
        ("reused", records.provenance(result)),
    ]
    return [[name, _line(str(value))] for name, value in found if value]


def _machine(result: CaseResult) -> str:
    """Return the machine as it was asked for, in words."""
    machine = result.get("machine", {})
    return _line(", ".join(f"{key} {value}" for key, value in machine.items() if value not in (None, "", [], {})))


def _line(text: str) -> str:
    more = len(text) - _LINE
    return printable(text) if more <= 0 else f"{printable(text[:_LINE])}… ({more} more characters)"


def _block(text: str) -> str:
    more = len(text) - _BLOCK
    return escaping.block(text if more <= 0 else f"{text[:_BLOCK]}\n… ({more} more characters)")


def codes(of: Sequence[Row]) -> list[str]:
    """Return the reason codes that occur, for the filter's suggestions."""
    return sorted({code for row in of for cells in row.cells for cell in cells for code in cell.codes})
