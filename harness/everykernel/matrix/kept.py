"""Verdicts that are kept from run to run, each a results file of one cell, found by what decides it (`deciding.key`).

They lie in the cache, those of one machine in one folder, so that `cache.prune` takes whole folders, the least recently
used first; `trim` bounds all of them together. A file comes in through the gate of any results file.
"""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from everykernel import cache
from everykernel.errors import UsageError
from everykernel.matrix import records, results
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import SCHEMA, CaseResult, CellReport, KernelRecord, Reused, RunRecord

FOLDER = "cells"
LIMIT = 1 << 30  # bytes of all that is kept; a cell has 2 to 200 KB
_OF_OTHERS = ("test", "again", "evidence", "reused")  # of a result: what a run says of it that took it


def settled(report: CellReport) -> bool:
    """Return whether a cell's verdict would be the same another time: nothing broke, was late, or was tried twice.

    A guest whose kernel warned, or ran out of memory, is no sure sign of the object's, nor one that was booted cold
    because its snapshot did not come back.
    """
    result = report["result"]
    codes = [result["stages"][name].get("code", "") for name in STAGES]
    late = "timeout" in codes or result.get("code") == "timeout"
    broke = result.get("outcome") == records.ERROR or any(code and records.is_breakage(code) for code in codes)
    unsure = result.get("warnings") or result.get("attempts") or report.get("starved")
    return not (late or broke or unsure) and result.get("start") == "restored"


def path(machine: str, key: str) -> Path:
    """Return where a verdict is kept, whether it is there or not."""
    return cache.entry(FOLDER, machine) / f"{key}.json"


def keep(place: Path, report: CellReport, run: RunRecord) -> None:
    """Keep a cell's verdict; raise HarnessError where it cannot be written."""
    result = cast(CaseResult, {name: value for name, value in report["result"].items() if name not in _OF_OTHERS})
    told: dict[str, Any] = {
        "schema": SCHEMA,
        "run": run,
        "kernels": [report["kernel"]],
        "results": [{**result, "evidence": None}],
        "console": report.get("console", ""),
        "kept": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    results.write(place, cast(results.Results, told))


def find(place: Path) -> CellReport | None:
    """Return the report of a cell that was kept, with its provenance; None where there is none that can be used."""
    try:
        told: Any = results.read(place)
    except UsageError:
        return None  # not there, or damaged: the cell is run, and what it comes to is kept in its place
    if len(told["results"]) != 1 or len(told["kernels"]) != 1:
        return None
    result: CaseResult = told["results"][0]
    kernel: KernelRecord = told["kernels"][0]
    console, when = told.get("console", ""), told.get("kept", "")
    report: CellReport = {"result": result, "kernel": kernel, "console": console, "starved": ""}
    if not isinstance(console, str) or not isinstance(when, str) or not settled(report):
        return None
    reused: Reused = {"run": told["run"]["id"], "at": when, "seconds": result.get("seconds", 0.0)}
    result["reused"] = reused
    with contextlib.suppress(OSError):
        os.utime(place)  # used now
    return report


def trim(limit: int = LIMIT) -> int:
    """Delete the verdicts that were used least recently until the others fit into ``limit`` bytes; return how many."""
    found = []
    for place in cache.folder(FOLDER).glob("*/*.json"):
        with contextlib.suppress(OSError):
            status = place.stat()
            found.append((status.st_mtime_ns, status.st_blocks * 512, place))
    total, gone = sum(size for _, size, _ in found), 0
    for _, size, place in sorted(found):
        if total <= limit:
            break
        with contextlib.suppress(OSError):
            place.unlink()
            gone += 1
        total -= size
    return gone
