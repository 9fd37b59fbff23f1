"""What changed between two runs, for people: a table of what passes before and after, then a block for each row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from everykernel.comparing import changes, difference
from everykernel.comparing.changes import Change
from everykernel.comparing.difference import Cell, Difference, Row
from everykernel.matrix.results import Results
from everykernel.report import markdown
from everykernel.report.columns import short_release
from everykernel.report.screen import Screen, text

_MOST = 12  # changes that are told of a cell
_ROWS = 50  # rows that are told at length
_STYLES = {
    difference.REGRESSED: "bold red",
    difference.FIXED: "green",
    difference.FAILING: "red",
    difference.INDETERMINATE: "bold magenta",
}
_UNTOLD = (difference.SAME,)


def show(screen: Screen, found: Difference, *, verbose: bool = False) -> None:
    """Print it on a terminal."""
    for line in head(found):
        screen.print(text(line), soft_wrap=True)
    rows = [row for row in found.rows if row.changed or verbose]
    if rows:
        screen.print()
        screen.print(_table(rows))
    for first, *rest in blocks(rows, verbose=verbose):
        screen.print()
        screen.print(Text("\n").join([text(first, "bold"), *(text(line) for line in rest)]), soft_wrap=True)


def render(found: Difference, *, verbose: bool = False) -> str:
    """Return it as Markdown."""
    rows = [row for row in found.rows if row.changed or verbose]
    lines = ["# What changed", "", *(f"{markdown.escape(line)}  " for line in head(found))]
    if rows:
        lines += ["", "| row | before | after | |", "|---|---|---|---|"]
        lines += [
            f"| {markdown.escape(row.name)} | {_of(row.before)} | {_of(row.after)} | {_kinds(row)} |" for row in rows
        ]
    for first, *rest in blocks(rows, verbose=verbose):
        lines += ["", f"## {markdown.escape(first)}", ""]
        for line in rest:
            depth = (len(line) - len(line.lstrip())) // 2 - 1
            lines.append(f"{'  ' * depth}- {markdown.escape(line.strip())}")
    return "\n".join(lines) + "\n"


def head(found: Difference) -> list[str]:
    """Return what is compared with what, and how many cells are of each class."""
    lines = [f"old: {_run(found.old)}", f"new: {_run(found.new)}"]
    other = [f"{old} → {new}" for old, new in found.kernels.items() if old != new]
    if other:
        lines.append(f"kernels compared: {', '.join(other)}")
    lines.append(", ".join(f"{number} {kind}" for kind, number in found.counts.items()) or "there are no cells")
    if difference.INDETERMINATE in found.counts:
        lines.append("indeterminate: a guest or the harness broke, before or now; that says nothing about the object")
    for old, new in found.kernels.items():
        was, now = _release(found.old, old), _release(found.new, new)
        if old == new and was and now and was != now:
            lines.append(f"{old}: {was} → {now}")
    return lines


def blocks(rows: Sequence[Row], *, verbose: bool = False) -> Iterator[list[str]]:
    """Yield for each row its name, and what changed in its cells; kernels on which the same changed share it."""
    for row in rows[:_ROWS] if not verbose else rows:
        groups: dict[tuple[str, str, tuple[Change, ...]], list[Cell]] = {}
        for cell in row.cells:
            if cell.kind not in _UNTOLD:
                groups.setdefault((cell.kind, cell.why, tuple(cell.changes)), []).append(cell)
        lines = [f"{row.name}: {_of(row.before)} → {_of(row.after)}"]
        for (kind, why, told), cells in groups.items():
            lines.append(f"  {_where(cells)}: {kind}{f': {why}' if why else ''}")
            lines += [f"    {line}" for line in _changes(told, verbose=verbose)]
        if len(lines) > 1:
            yield lines
    if len(rows) > _ROWS and not verbose:
        yield [f"and {len(rows) - _ROWS} more rows (-v)"]


def _changes(told: Sequence[Change], *, verbose: bool) -> Iterator[str]:
    """Yield a line for each thing that changed; relocations of which the same came share it."""
    alike: dict[Change, list[Change]] = {}
    for change in told:
        if verbose or not changes.moved(change):
            alike.setdefault(change._replace(place="", program="") if change.place else change, []).append(change)
    for change, members in itertools.islice(alike.items(), None if verbose else _MOST):
        where = f": {_places(members)}" if members[0].place else ""
        yield f"{change.subject}{where}: {change.before} → {change.after}{f' ({change.why})' if change.why else ''}"
    if len(alike) > _MOST and not verbose:
        yield f"and {len(alike) - _MOST} more changes (-v)"
    number = sum(map(changes.moved, told)) if not verbose else 0
    if number:
        find = " finds its" if number == 1 else "s find their"
        yield f"{number} relocation{find} field elsewhere, as CO-RE is for (-v)"


def _places(members: Sequence[Change]) -> str:
    """Return where relocations are: ``relocation 1 of block_rq_insert and 3 more``."""
    first = f"{members[0].place} of {members[0].program}"
    return first if len(members) == 1 else f"{first} and {len(members) - 1} more"


def _where(cells: Sequence[Cell]) -> str:
    names = [old if old == new else f"{old} → {new}" for old, new in (cell.pair.kernels for cell in cells)]
    return ", ".join(dict.fromkeys(names))


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    table.add_column("row", overflow="fold")
    for name in ("before", "after", ""):
        table.add_column(name, no_wrap=True)
    for row in rows:
        kinds = _kinds(row)
        style = next((style for kind, style in _STYLES.items() if kind in kinds), "")
        table.add_row(text(row.name), text(_of(row.before)), text(_of(row.after)), text(kinds, style))
    return table


def _kinds(row: Row) -> str:
    counts = {kind: sum(cell.kind == kind for cell in row.cells) for kind in difference.CLASSES if kind not in _UNTOLD}
    return ", ".join(kind if number == 1 else f"{number} {kind}" for kind, number in counts.items() if number)


def _of(count: tuple[int, int]) -> str:
    return f"{count[0]}/{count[1]}" if count[1] else "-"


def _run(results: Results) -> str:
    run = results["run"]
    return f"{run['id']}, {run['started']}, {run['tool']}"


def _release(results: Results, spec: str) -> str:
    return next((short_release(kernel) for kernel in results["kernels"] if kernel["spec"] == spec), "")
