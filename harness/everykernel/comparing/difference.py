"""Two files of results compared: which cells regressed, were fixed, still fail, are new, are gone, or say nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from everykernel.comparing import changes, pairing
from everykernel.comparing.changes import Change
from everykernel.comparing.pairing import Pair
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult
from everykernel.matrix.results import Results

REGRESSED, FIXED, FAILING, NEW, GONE, INDETERMINATE, CHANGED, SAME = CLASSES = (
    "regressed", "fixed", "still failing", "newly tested", "gone", "indeterminate", "changed", "same",
)  # fmt: skip
SCHEMA = "everykernel-diff/1"


@dataclass(frozen=True)
class Cell:
    """One cell, compared.

    Attributes:
        pair: its results.
        kind: one of `CLASSES`; ``changed`` is one that passes as before, and otherwise.
        changes: what changed.
        why: what is said of one that is new, gone, or says nothing.
    """

    pair: Pair
    kind: str
    changes: list[Change]
    why: str = ""


@dataclass(frozen=True)
class Row:
    """One row of the matrix: how many of its cells passed, of how many, before and after; broken ones count apart."""

    name: str
    before: tuple[int, int]
    after: tuple[int, int]
    cells: list[Cell]

    @property
    def changed(self) -> bool:
        """Whether any cell of it is otherwise than before."""
        return any(cell.kind != SAME and not (cell.kind == FAILING and not cell.changes) for cell in self.cells)


@dataclass(frozen=True)
class Difference:
    """All of it.

    Attributes:
        kernels: which kernel was compared with which.
        rows: those that changed first, and of them those that regressed.
        counts: how many cells are of each class.
    """

    kernels: dict[str, str]
    rows: list[Row]
    counts: dict[str, int]
    old: Results
    new: Results


def compare(old: Results, new: Results, pairs: Iterable[str] = ()) -> Difference:
    """Return what changed from one file to another.

    Args:
        old, new: results that passed the gate.
        pairs: kernels to compare with one another, ``OLD=NEW``.

    Raises UsageError for pairs that are none.
    """
    of = pairing.kernels(old, new, pairs)
    missing = {k["spec"]: k["missing"] for k in new["kernels"] if k.get("missing")}
    by_row: dict[str, list[Cell]] = {}
    for pair in pairing.pairs(old, new, of):
        by_row.setdefault(pair.row, []).append(_cell(pair, missing))
    rows = [_row(name, cells) for name, cells in by_row.items()]
    counts = Counter(cell.kind for cells in by_row.values() for cell in cells)
    rows.sort(
        key=lambda row: min(CLASSES.index(cell.kind) for cell in row.cells) + (0 if row.changed else len(CLASSES))
    )
    return Difference(of, rows, {kind: counts[kind] for kind in CLASSES if counts[kind]}, old, new)


def as_json(found: Difference) -> dict[str, Any]:
    """Return a difference as other programs read it: schema ``everykernel-diff/1``."""
    return {
        "schema": SCHEMA,
        "old": _run(found.old),
        "new": _run(found.new),
        "kernels": [{"old": before, "new": after} for before, after in found.kernels.items()],
        "counts": {kind: found.counts.get(kind, 0) for kind in CLASSES},
        "rows": [
            {
                "row": row.name,
                "before": {"passed": row.before[0], "total": row.before[1]},
                "after": {"passed": row.after[0], "total": row.after[1]},
                "cells": [
                    {
                        "kernels": {"old": cell.pair.kernels[0], "new": cell.pair.kernels[1]},
                        "class": cell.kind,
                        "why": cell.why,
                        "changes": [change._asdict() for change in cell.changes],
                    }
                    for cell in row.cells
                ],
            }
            for row in found.rows
        ],
    }


def _run(results: Results) -> dict[str, str]:
    return {key: str(results["run"][key]) for key in ("id", "started", "tool")}


def _cell(pair: Pair, missing: Mapping[str, str]) -> Cell:
    old, new = pair.old, pair.new
    if old is None:
        assert new is not None
        return Cell(pair, NEW, [], said(new))
    if new is None:
        return Cell(pair, GONE, [], f"kernel {missing[pair.kernels[1]]}" if pair.kernels[1] in missing else said(old))
    found = changes.between(old, new)
    if records.broke(old) or records.broke(new):
        who = "before" if records.broke(old) else "now"
        return Cell(pair, INDETERMINATE, found, f"{who}, its {records.broke(old) or records.broke(new)} broke")
    passed = [one["outcome"] == records.PASSED for one in (old, new)]
    if passed[0] != passed[1]:
        return Cell(pair, FIXED if passed[1] else REGRESSED, found, said(new if passed[0] else old))
    if not passed[1]:
        return Cell(pair, FAILING, found, said(new))
    return Cell(pair, CHANGED if found else SAME, found)


def said(result: CaseResult) -> str:
    """Return what a result comes to: ``passed``, or stage, code and message."""
    if result["outcome"] == records.PASSED:
        return "passed, flaky" if records.flaky(result) else "passed"
    stage = f"{result['stage']}: " if result.get("stage") else ""
    return changes.cut(f"{stage}{result['code']}: {result['message']}")


def _row(name: str, cells: list[Cell]) -> Row:
    def count(found: Iterable[CaseResult | None]) -> tuple[int, int]:
        verdicts = [one["outcome"] for one in found if one is not None and not records.broke(one)]
        return verdicts.count(records.PASSED), len(verdicts)

    return Row(name, count(cell.pair.old for cell in cells), count(cell.pair.new for cell in cells), cells)
