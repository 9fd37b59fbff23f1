"""A run as a job summary: Markdown that fits GitHub's limit whatever ran, what did not pass first.

An upload of more than 1 MiB a step fails (docs.github.com: "Step isolation and limits"), and a step may write more than
this; what is left out is counted, and where it is, is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.results import Results
from everykernel.report import causes, columns, marks, terminal
from everykernel.report.columns import Column, Grid
from everykernel.report.markdown import escape, fenced

LIMIT = 1 << 20  # bytes of all that one step writes
MOST = LIMIT - (64 << 10)  # of this page
_KERNELS = 40  # columns of the table; more are in the report
_WHERE = "results.json and matrix.md of the report have them all"


def render(results: Results) -> str:
    """Return the page."""
    return page(results)


def page(results: Results, most: int = MOST) -> str:
    """Return the page in at most ``most`` bytes; the head and the counts are always there."""
    run, every = results["run"], results["results"]
    drawn = columns.grid(every, results["kernels"], run.get("loaders", []))
    head = ["## Kernel compatibility", "", f"{terminal.counts(every)}.", ""]
    told = [run.get("tool", ""), run.get("started", ""), f"accelerator {run.get('host', {}).get('accelerator', '?')}"]
    foot = ["", escape(", ".join(filter(None, told))) + ".", ""]
    room = most - _size([*head, *foot])
    table = _table(drawn, room * 2 // 3)
    why = _causes(results, drawn, room - _size(table))
    return "\n".join([*head, *table, *why, *foot]).rstrip() + "\n"


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode(errors="backslashreplace")) + 1 for line in lines)


def _fitting(lines: Sequence[list[str]], room: int) -> int:
    """Return how many groups of lines fit."""
    used = 0
    for number, group in enumerate(lines):
        used += _size(group)
        if used > room:
            return number
    return len(lines)


_SPARE = 500  # bytes of what says that there is more


def _table(drawn: Grid, room: int) -> list[str]:
    """Return the matrix, rows with something that did not pass first."""
    kernels = drawn.kernels[:_KERNELS]
    names = ["<br>".join(escape(line) for line in columns.heads(kernel)) for kernel in kernels]
    head = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(kernels)]
    bad = {row for (row, _), cells in drawn.cells.items() if any(c.get("outcome") != records.PASSED for c in cells)}
    ordered = sorted(drawn.rows, key=lambda row: row not in bad)
    rows = [[_row(drawn, row, kernels)] for row in ordered]
    fits = _fitting(rows, room - _size(head) - _SPARE)
    found = [*head, *(line for group in rows[:fits] for line in group), ""]
    if fits < len(rows):
        found += [f"… and {len(rows) - fits} more rows ({_WHERE}).", ""]
    if len(drawn.kernels) > _KERNELS:
        found += [f"… and {len(drawn.kernels) - _KERNELS} more kernels ({_WHERE}).", ""]
    used = {mark for cells in drawn.cells.values() for cell in cells for mark in marks.of_result(cell)}
    legend = [f"{mark.symbol} {mark.meaning}" for mark in sorted(used, key=lambda mark: mark.meaning)]
    return [*found, f"Three marks a cell: {', '.join(STAGES)}. {', '.join(legend)}.", ""] if drawn.rows else []


def _row(drawn: Grid, row: str, kernels: Sequence[Column]) -> str:
    cells = []
    for kernel in kernels:
        found = drawn.cells.get((row, kernel["spec"]), [])
        cells.append(" ".join("".join(m.symbol for m in marks.of_result(r)) for r in found) or columns.empty(kernel))
    return f"| {escape(row)} | " + " | ".join(cells) + " |"


def _causes(results: Results, drawn: Grid, room: int) -> list[str]:
    """Return why cells did not pass, those of the most cells first, and how to run one again."""
    why = causes.find(results["results"])
    if not why:
        return []
    rows, specs = {row: row for row in drawn.rows}, [kernel["spec"] for kernel in drawn.kernels]
    blocks = [[*fenced(block), ""] for block in causes.lines(why, rows, specs)]
    fits = _fitting(blocks, room - _SPARE - 2000)
    found = ["### What did not pass", "", *(line for block in blocks[:fits] for line in block)]
    if fits < len(blocks):
        found += [f"… and {len(blocks) - fits} more reasons ({_WHERE}).", ""]
    command = causes.again(why)
    return [*found, "One of these cells again:", "", *fenced([command])] if command else found
