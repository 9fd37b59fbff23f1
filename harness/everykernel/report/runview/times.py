"""Where a run's time went: the seconds of each column's cells, by stage, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from everykernel.escaping import printable
from everykernel.matrix.expect import STAGES
from everykernel.report.runview.heads import Head
from everykernel.report.runview.rows import Cell, Row

PARTS = (*STAGES, "start and host")
_SLOWEST = 12


@dataclass(frozen=True)
class Bar:
    """The time of one column's cells.

    Attributes:
        name: of the column, printable.
        cells: how many.
        seconds: of wall time.
        parts: start and width of each of `PARTS`, in thousandths of the longest bar.
        told: each part in words.
    """

    name: str
    cells: int
    seconds: float
    parts: tuple[tuple[float, float], ...]
    told: tuple[str, ...]


@dataclass(frozen=True)
class Slow:
    """One of the slowest cells."""

    row: Row
    head: Head
    cell: Cell
    seconds: float


def bars(heads: Sequence[Head], rows: Sequence[Row]) -> list[Bar]:
    """Return a bar for each column that took any time."""
    sums = []
    for number, head in enumerate(heads):
        cells = [cell for row in rows for cell in row.cells[number] if "reused" not in cell.result]
        stages = [sum(_stage(cell, name) for cell in cells) for name in STAGES]
        whole = sum(_number(cell.result.get("seconds", 0)) for cell in cells)
        sums.append((head, len(cells), max(whole, sum(stages)), [*stages, max(0.0, whole - sum(stages))]))
    longest = max([seconds for _, _, seconds, _ in sums] + [0.001])
    found = []
    for head, count, seconds, times in sums:
        if not seconds:
            continue
        at, parts = 0.0, []
        for time in times:
            width = 1000 * time / longest
            parts.append((round(at, 1), round(width, 1)))
            at += width
        told = tuple(f"{head.name}: {part} {time:.1f} s" for part, time in zip(PARTS, times))
        found.append(Bar(printable(head.name), count, seconds, tuple(parts), tuple(map(printable, told))))
    return found


def slowest(heads: Sequence[Head], rows: Sequence[Row]) -> list[Slow]:
    """Return the slowest cells, the slowest first."""
    every = [
        Slow(row, head, cell, _number(cell.result.get("seconds", 0)))
        for row in rows
        for head, cells in zip(heads, row.cells)
        for cell in cells
    ]
    return sorted((one for one in every if one.seconds), key=lambda one: -one.seconds)[:_SLOWEST]


def _stage(cell: Cell, name: str) -> float:
    return _number(cell.result.get("stages", {}).get(name, {}).get("seconds", 0))


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e9 else 0.0
