"""The gate for what comes from a worker: compared with the schema, bounded, and with what was asked for.

What passes is a cell's report as a local run makes it, whatever the worker is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

from everykernel.errors import HarnessError, UsageError
from everykernel.matrix import records, schema
from everykernel.matrix.records import SCHEMA, CaseResult, CellReport, WorkerRecord

LIMIT = 64 << 20  # bytes of an answer: verifier logs, which are bounded in the guest, are most of one
_MISSING = 100_000  # digests that a cell may lack
_TOLD = 1_000  # lines on what a kernel took
_RUN = {"id": "", "started": "2000-01-01T00:00:00+00:00", "tool": ""}
_HOST = {"accelerator": "", "cpus": 1, "qemu": ""}


@dataclass(frozen=True)
class Answer:
    """What a worker answers: a report, or the digests that it lacks.

    Attributes:
        address: the worker's.
        missing: what is to be sent to it before it can run the cell.
        report: the cell's.
        worker: who ran it.
        made, notes: what the kernel took there so far, as of `everykernel.matrix.campaign.Cost`.
    """

    address: str
    missing: tuple[str, ...] = ()
    report: CellReport = field(default_factory=CellReport)
    worker: WorkerRecord = field(default_factory=WorkerRecord)
    made: dict[str, bool] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read(data: object, asked: CaseResult) -> Answer:
    """Return a worker's answer on a cell.

    Args:
        data: what it sent.
        asked: the cell's result before it began: the answer has to be on this very cell.

    Raises HarnessError for what is no such answer.
    """
    if not isinstance(data, bytes) or len(data) > LIMIT:
        raise _none(f"it is no text of at most {LIMIT >> 20} MiB")
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise _none("it is not JSON") from e
    if not isinstance(told, dict) or not isinstance(told.get("address"), str):
        raise _none("it names no worker")
    if "missing" in told:
        return Answer(told["address"], _texts(told["missing"], _MISSING))
    worker, report = _checked(told, asked)
    return Answer(told["address"], (), report, worker, _made(told.get("made")), _texts(told.get("notes"), _TOLD))


def _checked(told: dict[str, Any], asked: CaseResult) -> tuple[WorkerRecord, CellReport]:
    """Return who ran the cell, and the report with its attempts; each passes the schema."""
    report = told.get("report")
    earlier = report.get("earlier", []) if isinstance(report, dict) else None
    chain = [report, *earlier] if isinstance(earlier, list) else []
    if not chain or not all(isinstance(one, dict) for one in chain):
        raise _none("it holds no report")
    results, kernels = [one.get("result") for one in chain], [one.get("kernel") for one in chain]
    run = {**_RUN, "host": _HOST, "workers": [told.get("worker")]}
    try:
        schema.check({"schema": SCHEMA, "run": run, "results": results, "kernels": kernels}, "the answer")
    except UsageError as e:
        raise _none(e.message) from e
    for one in chain:
        texts = [one.get(name, "") for name in ("console", "trace", "starved")]
        if not all(isinstance(text, str) for text in texts):
            raise _none("it holds no report")
        if one["kernel"]["spec"] != asked.get("kernel") or records.asked(one["result"]) != records.asked(asked):
            raise _none("it is on another cell")
    return cast(WorkerRecord, told["worker"]), cast(CellReport, report)


def _made(value: object) -> dict[str, bool]:
    if not isinstance(value, dict) or len(value) > _TOLD or not all(isinstance(one, bool) for one in value.values()):
        raise _none("it does not say what its kernel took")
    return value


def _texts(value: object, limit: int) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > limit or not all(isinstance(one, str) for one in value):
        raise _none("it is no list of texts")
    return tuple(value)


def _none(why: str) -> HarnessError:
    return HarnessError(f"a worker's answer is none: {why}")
