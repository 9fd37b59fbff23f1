"""The matrix on a terminal: rows are cases, columns kernels, a mark for each stage; then a block for each failure.

It says the same without colour, in 100 columns, and where the terminal's encoding has no Unicode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult, CellReport, KernelRecord, LoaderRecord
from everykernel.report import blocks, causes, columns, disagreements, marks, misreads, remarks, twins
from everykernel.report.columns import Column, Grid
from everykernel.report.disagreements import Refusal
from everykernel.report.labels import labels
from everykernel.report.marks import Mark

_LEGEND = (
    marks.PASSED, marks.FAILED, marks.EXPECTED, marks.ERROR, marks.SKIPPED, marks.NOT_REACHED, marks.FLAKY,
    marks.MISREAD, marks.WARNED, marks.REUSED,
)  # fmt: skip
_NARROW, _WIDE = 24, 48  # characters of a row's name: less are shown where columns would not fit, never more
_PADDING = 3  # between columns


def show(
    console: Console,
    results: Sequence[CaseResult],
    kernels: Sequence[KernelRecord],
    loaders: Sequence[LoaderRecord] = (),
    *,
    verbose: int = 0,
) -> None:
    """Print the whole report: matrix, legend, counts, and why cells did not pass."""
    show_matrix(console, results, kernels, loaders, unicode=has_unicode(console))
    show_failures(console, [{"result": result} for result in results], kernels, verbose=verbose)


def show_failures(
    console: Console, reports: Sequence[CellReport], kernels: Sequence[KernelRecord], *, verbose: int = 0
) -> None:
    """Print a block for each cause; from ``-v`` on, one for each cell that did not pass."""
    results = [report["result"] for report in reports]
    if verbose:
        found = [
            blocks.lines(
                report["result"], console=report.get("console", ""), trace=report.get("trace", ""), verbose=verbose
            )
            for report in reports
            if report["result"].get("outcome") != records.PASSED
        ]
    else:
        drawn = columns.grid(results, kernels)
        _, names = _names(drawn, console.width)
        specs = [kernel["spec"] for kernel in drawn.kernels]
        why = causes.find(results, reports)
        found = causes.lines(why, names, specs, max(causes.WIDTH, console.width))
        if command := causes.again(why):
            found.append([f"again, one cell (-v shows how for each): {command}"])
    for number, (first, *rest) in enumerate(found):
        if verbose or not number:
            console.print()
        console.print(Text("\n").join([Text(first, "bold red"), *(Text(line) for line in rest)]), soft_wrap=True)


def show_disagreements(console: Console, found: Sequence[Refusal], kernels: Sequence[str]) -> None:
    """Print where loaders disagree: a block for each known rule, and one for each refusal that none explains."""
    _, names = labels(list(dict.fromkeys(refusal.row for refusal in found)), _WIDE) if found else ("", {})
    for first, *rest in disagreements.lines(found, names, kernels):
        console.print(Text("\n").join([Text(first, "bold"), *(Text(line) for line in rest)]), soft_wrap=True)
        console.print()
    console.print(Text(disagreements.summary(found)), soft_wrap=True)


def show_twins(console: Console, results: Sequence[CaseResult], kernels: Sequence[KernelRecord]) -> None:
    """Print what each object loses without BTF, where there are twins among the kernels."""
    for picture in twins.find(results, kernels):
        names = labels([row.name for row in picture.rows], _WIDE)[1] if picture.rows else {}
        table = Table(box=None, pad_edge=False, padding=(0, _PADDING, 0, 0), header_style="")
        for head in ("case", *(twins.HEADS[part] for part in picture.parts)):
            table.add_column(Text(head, "bold"), no_wrap=True)
        table.add_column(Text("programs that work", "dim"), overflow="fold")
        for row in picture.rows:
            counts = (Text(row.shown(part)) for part in picture.parts)
            table.add_row(Text(names[row.name]), *counts, Text(blocks.short(picture.words(row))))
        console.print(Text(f"\ntwins: {blocks.short(picture.title)}", "bold"))
        if picture.rows:
            console.print(table)
        for line in picture.summary():
            console.print(Text(blocks.short(line)), soft_wrap=True)


def show_matrix(
    console: Console,
    results: Sequence[CaseResult],
    kernels: Sequence[KernelRecord],
    loaders: Sequence[LoaderRecord] = (),
    *,
    unicode: bool,
) -> None:
    """Print the matrix; notes that are wider than the terminal are left to it to wrap."""
    console.print(matrix(results, kernels, loaders, width=console.width, unicode=unicode), crop=False)


def has_unicode(console: Console) -> bool:
    """Return whether a console's encoding can show our marks."""
    return console.encoding.lower().replace("-", "") in ("utf8", "utf16", "utf8mb4")


def matrix(
    results: Sequence[CaseResult],
    kernels: Sequence[KernelRecord],
    loaders: Sequence[LoaderRecord] = (),
    *,
    width: int = 100,
    unicode: bool = True,
) -> RenderableType:
    """Return the matrix with its legend, broken into several tables where the columns do not fit ``width``."""
    drawn = columns.grid(results, kernels, loaders)
    if not drawn.rows and not drawn.kernels:
        return Text("no results")
    shared, names = _names(drawn, width)
    first = max([cell_len(name) for name in names.values()] + [4])
    parts: list[RenderableType] = []
    for group in _groups(drawn.kernels, width - first - _PADDING):
        parts.append(_table(drawn, names, group, first, unicode))
        parts.append(Text(""))
    if shared:
        parts.append(Text(f"all are in {shared}", "dim"))
    parts.append(_legend(drawn, unicode))
    told = [*notes(drawn), *remarks.lines(results, names, [kernel["spec"] for kernel in drawn.kernels])]
    told += [f"{_symbol(marks.MISREAD, unicode)} {line}" for line in misreads.of_results(results, names)]
    parts.extend(Text(blocks.short(line), no_wrap=True, overflow="ignore") for line in told)
    parts.append(Text(counts(results)))
    return Group(*parts)


def _groups(kernels: Sequence[Column], room: int) -> list[list[Column]]:
    """Return the columns in groups that fit ``room`` characters each."""
    groups: list[list[Column]] = [[]]
    used = 0
    for kernel in kernels:
        needed = _width(kernel)
        if groups[-1] and used + needed > room:
            groups.append([])
            used = 0
        groups[-1].append(kernel)
        used += needed
    return groups


def _names(drawn: Grid, width: int) -> tuple[str, dict[str, str]]:
    """Return the folder that all rows share, and what each row is called where the terminal has ``width``."""
    room = width - sum(map(_width, drawn.kernels)) - _PADDING
    return labels(drawn.rows, max(_NARROW, min(_WIDE, room)))


def _width(kernel: Column) -> int:
    return max(cell_len(line) for line in columns.heads(kernel)) + _PADDING


def _table(drawn: Grid, names: Mapping[str, str], kernels: Sequence[Column], first: int, unicode: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _PADDING, 0, 0), show_header=True, header_style="")
    table.add_column(Text("\n\ncase"), no_wrap=True, width=first, overflow="ellipsis")
    for kernel in kernels:
        spec, release, has = columns.heads(kernel)
        style = "green" if has == "BTF" else "yellow"
        head = Text.assemble((spec, "bold"), "\n", (release, "dim"), "\n", (has, style))
        table.add_column(head, no_wrap=True)
    for row in drawn.rows:
        table.add_row(Text(names[row]), *(_cell(drawn.cells.get((row, k["spec"]), []), k, unicode) for k in kernels))
    return table


def _cell(results: Sequence[CaseResult], kernel: Column, unicode: bool) -> Text:
    if not results:
        return Text(columns.empty(kernel))
    text = Text()
    for number, result in enumerate(results):
        if number:
            text.append(" ")
        for mark in marks.of_result(result):
            text.append(_symbol(mark, unicode), mark.style)
    return text


def _symbol(mark: Mark, unicode: bool) -> str:
    return mark.symbol if unicode else mark.ascii


def _legend(drawn: Grid, unicode: bool) -> Text:
    """Return the meaning of the marks that occur."""
    used = {mark for results in drawn.cells.values() for r in results for mark in marks.of_result(r)}
    text = Text(f"three marks a cell: {', '.join(STAGES)}\n", "dim")
    for number, mark in enumerate(m for m in _LEGEND if m in used):
        text.append("   " if number else "")
        text.append(_symbol(mark, unicode), mark.style)
        text.append(f" {mark.meaning}", "dim")
    return text


def notes(drawn: Grid) -> list[str]:
    """Return a line for each thing that a reader of the matrix should know about a column."""
    lines = []
    told: set[str] = set()
    for kernel in drawn.kernels:
        name, spec = kernel["spec"], kernel["of"]
        if spec not in told:
            lines.extend(_of_kernel(drawn, kernel, spec))
            told.add(spec)
        if kernel.get("skipped") and (line := f"{kernel['loader']} is skipped: {kernel['skipped']}") not in told:
            lines.append(line)
            told.add(line)
        codes: Counter[tuple[str, str]] = Counter()
        for (_, of), results in drawn.cells.items():
            if of == name:
                for result in results:
                    codes.update(marks.expected_codes(result))
        lines.extend(
            f"{name}: {number} {'case ends' if number == 1 else 'cases end'} in {stage} with {code}, as expected"
            for (stage, code), number in codes.items()
        )
    return lines


def _of_kernel(drawn: Grid, kernel: Column, spec: str) -> list[str]:
    """Return what is told once a kernel, whoever loads."""
    lines = []
    if kernel.get("missing"):
        said = kernel["missing"]
        lines.append(said if said.startswith(spec) else f"{spec}: {said}")
    if kernel.get("broken"):
        lines.append(f"{spec}: did not come up: {kernel['broken']}")
    if kernel.get("btf") == "none":
        line = f"{spec}: this kernel ({kernel.get('release')}) has no BTF of its own"
        lines.append("; ".join([line, *_supplied(drawn, spec)]))
    lines.extend(f"{spec}: {note}" for note in kernel.get("notes", []))
    return lines


def _supplied(drawn: Grid, spec: str) -> list[str]:
    """Return how many cells of a kernel were relocated against which BTF that was supplied."""
    here = (r for found in drawn.cells.values() for r in found if r.get("kernel") == spec)
    names = (r.get("btf", "").partition(":") for r in here)
    used = Counter(name for kind, _, name in names if kind == "supplied")
    return [f"{number} cell{'' if number == 1 else 's'} used {name}" for name, number in used.items()]


def counts(results: Sequence[CaseResult]) -> str:
    """Return the line of counts, guests and harness apart from verdicts, and verdicts of cells that were run again."""
    flaky = [r.get("outcome") for r in results if records.flaky(r)]
    passed = sum(r.get("outcome") == records.PASSED for r in results) - flaky.count(records.PASSED)
    failed = sum(r.get("outcome") == records.FAILED for r in results) - flaky.count(records.FAILED)
    guest = sum(records.broke(r) == "guest" for r in results)
    harness = sum(records.broke(r) == "harness" for r in results)
    warned = sum(bool(r.get("warnings")) for r in results)
    parts = [f"{len(results)} cell{'' if len(results) == 1 else 's'}: {passed} passed"]
    told = (
        (flaky.count(records.PASSED), "flaky (passed when run again)"),
        (failed, "failed"),
        (flaky.count(records.FAILED), "failed when run again"),
        (guest, "guest broke"),
        (harness, "harness broke"),
    )
    for number, text in told:
        if number:
            parts.append(f"{number} {text}")
    if warned:
        parts.append(f"{warned} with kernel warnings")
    if reused := sum("reused" in r for r in results):
        parts.append(f"{reused} reused")
    return ", ".join(parts)
