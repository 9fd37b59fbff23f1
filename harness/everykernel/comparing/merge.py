"""Files of results as one: parts of a run, shards, runs of some cells again. Nothing is lost, and the order of the
files decides nothing.

A file is read as what it is made of: its runs by their ids, and for each cell (by what was asked for: `records.asked`)
its attempts, each with the run that it is of. Merging is the union of both, so it is associative, commutative, and the
same where a file is merged twice. Of a cell's attempts the last verdict is shown; where none came to a verdict, the
last attempt. The others are its `attempts`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from everykernel import names
from everykernel.comparing import parts
from everykernel.comparing.join import canonical
from everykernel.comparing.order import natural
from everykernel.errors import UsageError
from everykernel.matrix import records
from everykernel.matrix.records import SCHEMA, CaseResult
from everykernel.matrix.results import Results

FOLDER = "parts"  # below a merged report: the evidence of each run

_Cells = dict[tuple[str, ...], dict[str, CaseResult]]  # attempts by their text, by what was asked for


def merge(files: Sequence[Results], where: Sequence[str] = ()) -> Results:
    """Return the results of several files as one.

    Args:
        files: results that passed the gate (`results.read`).
        where: their names, for errors.

    Raises UsageError where a result is of a run that its file does not name, or there are no files.
    """
    if not files:
        raise UsageError("there is nothing to merge", remedy="name results.json files, or report folders")
    found = parts.together(part for file in files for part in parts.of(file))
    cells: _Cells = {}
    for number, file in enumerate(files):
        for attempt, asked in _attempts(file, where[number] if where else f"file {number + 1}"):
            cells.setdefault(asked, {}).setdefault(canonical(attempt), attempt)
    alone = len(found) == 1
    order = {part["id"]: (place, part["id"]) for place, part in enumerate(found)}
    results = [_cell(list(attempts.values()), order, alone=alone) for attempts in cells.values()]
    results.sort(key=lambda result: (natural(records.title(result)), natural(result["kernel"]), records.asked(result)))
    kernels = found[0]["kernels"] if alone else parts.columns(found)
    run: Any = {k: v for k, v in found[0].items() if k != "kernels"} if alone else parts.summary(found)
    return {"schema": SCHEMA, "run": run, "results": results, "kernels": kernels}


def folder_of(run: str) -> str:
    """Return the folder below a merged report that holds the evidence of a run."""
    safe = names.PATTERN.fullmatch(run) and len(run) <= names.LONGEST and "~" not in run
    return f"{FOLDER}/{run if safe else hashlib.sha256(run.encode(errors='surrogatepass')).hexdigest()[:32]}"


def moved(result: CaseResult, run: str, *, merged: bool) -> str | None:
    """Return where a result's evidence is in a merged report: that of a single run is put into a folder of its own."""
    evidence = result.get("evidence")
    return evidence if evidence is None or merged else f"{folder_of(run)}/{evidence}"


def every(results: Iterable[CaseResult]) -> Iterator[CaseResult]:
    """Yield results and all their attempts, those of attempts too."""
    waiting = list(results)
    while waiting:
        result = waiting.pop()
        yield result
        waiting.extend(result.get("attempts", []))


def _attempts(file: Results, where: str) -> Iterator[tuple[CaseResult, tuple[str, ...]]]:
    """Yield each attempt of a file, with the run that it is of, and what its cell was asked for."""
    merged = "parts" in file["run"]
    known = {part["id"] for part in parts.of(file)}
    for number, result in enumerate(file["results"]):
        asked = records.asked(result)
        for one in every([result]):
            run = one.get("run") if merged else file["run"]["id"]
            if run is None or run not in known:
                raise UsageError(f"results[{number}].run is none of the file's parts", where=where)
            whole: Any = {**one, "run": run, "evidence": moved(one, run, merged=merged)}
            whole.pop("attempts", None)
            for name in ("test", "again"):  # of a cell, which its attempts are not told
                if name in result:
                    whole.setdefault(name, result[name])
            yield whole, asked


def _cell(attempts: list[CaseResult], order: Mapping[str, tuple[int, str]], *, alone: bool) -> CaseResult:
    """Return a cell: its last verdict, else its last attempt, with the others in their order."""
    attempts.sort(key=lambda one: (order[one["run"]], one.get("attempt", 1), canonical(one)))
    verdicts = [one for one in attempts if one["outcome"] != records.ERROR]
    kept = (verdicts or attempts)[-1]
    if alone:
        attempts = [_unmoved(one) for one in attempts]
        kept = _unmoved(kept)
    others = [one for one in attempts if one != kept]
    return {**kept, "attempts": others} if others else kept


def _unmoved(result: CaseResult) -> CaseResult:
    """Return an attempt as a file of its run alone has it."""
    found: Any = {key: value for key, value in result.items() if key != "run"}
    if found.get("evidence"):
        found["evidence"] = found["evidence"].removeprefix(f"{folder_of(result['run'])}/")
    return found  # type: ignore[no-any-return]
