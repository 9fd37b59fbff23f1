"""Runs laid side by side: what each cell came to in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from everykernel.escaping import printable
from everykernel.matrix import records
from everykernel.matrix.results import Results
from everykernel.report import columns, terminal
from everykernel.report.runview import rows
from everykernel.report.runview.heads import heads

if TYPE_CHECKING:
    from everykernel.report.serving.runs import Run

MOST = 12  # runs of one cell that stand side by side


@dataclass(frozen=True)
class Point:
    """What a cell came to in one run.

    Attributes:
        look: the class of its worst mark.
        symbol: that mark.
        marks: all of them.
        code, message: what decided.
        seconds: of wall time.
        verified: instructions that the verifier went through in all its programs, None where it does not tell.
    """

    look: str
    symbol: str
    marks: str
    code: str
    message: str
    seconds: float
    verified: int | None


@dataclass(frozen=True)
class Summary:
    """One run in brief: when, by what, its counts, its columns in order, and its cells by row and column."""

    started: str
    tool: str
    counts: str
    columns: tuple[str, ...]
    cells: dict[tuple[str, str], Point]


@dataclass(frozen=True)
class Past:
    """One cell over the runs: the run and what it was there, the oldest first; whether the last differs."""

    points: tuple[tuple[Run, Point], ...]

    @property
    def changed(self) -> bool:
        """Whether the last run gave something else than the one before."""
        return len(self.points) > 1 and _same(self.points[-1][1]) != _same(self.points[-2][1])


def summary(results: Results) -> Summary:
    """Return a run in brief; of several results of a row and column, the first."""
    run = results.get("run", {})
    drawn = columns.grid(results["results"], results["kernels"], run.get("loaders", []))
    cells: dict[tuple[str, str], Point] = {}
    for (row, column), found in drawn.cells.items():
        cell = rows.cell(found[0], 0)
        programs = found[0].get("stages", {}).get("load", {}).get("programs", [])
        numbers = [n for p in programs if isinstance(n := p.get("verified_insns"), int)]
        code = printable(found[0].get("code", ""))
        cells[row, column] = Point(
            cell.look,
            cell.worst.symbol,
            cell.symbols,
            code,
            cell.message,
            float(records.took(found[0])),
            sum(numbers) if numbers else None,
        )
    return Summary(
        printable(run.get("started", "")),
        printable(run.get("tool", "")),
        terminal.counts(results["results"]),
        tuple(head.name for head in heads(drawn.kernels)),
        cells,
    )


def grid(runs: Sequence[Run]) -> tuple[list[str], list[str], dict[tuple[str, str], Past]]:
    """Return rows, columns and cells over all runs, given the newest first; of each cell the last `MOST` runs."""
    found: dict[tuple[str, str], list[tuple[Run, Point]]] = {}
    names: dict[str, None] = {}
    for run in runs:
        if run.summary is None:
            continue
        names.update(dict.fromkeys(run.summary.columns))
        for key, point in run.summary.cells.items():
            of = found.setdefault(key, [])
            if len(of) < MOST:
                of.append((run, point))
    table = {key: Past(tuple(reversed(of))) for key, of in found.items()}
    return sorted({row for row, _ in table}), list(names), table


def cell(runs: Sequence[Run], row: str, column: str) -> list[tuple[Run, Point]]:
    """Return what a cell was in every run that has it, in the order of the runs."""
    return [(run, run.summary.cells[row, column]) for run in runs if run.summary and (row, column) in run.summary.cells]


def _same(point: Point) -> tuple[str, str]:
    return point.marks, point.code
