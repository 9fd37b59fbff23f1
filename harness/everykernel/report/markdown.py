"""The matrix as Markdown, to be published beside a project's own pages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from everykernel.escaping import printable
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult, KernelRecord, RunRecord
from everykernel.report import causes, columns, marks, remarks, terminal, twins
from everykernel.report import disagreements as disagreement
from everykernel.report.disagreements import Refusal

_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
# What begins emphasis, code, links, tables, headings and entities anywhere in a line; a scheme and "www." begin links.
_SPECIAL = re.compile(r"[\\`*\[\]|~#<>&\\]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=:)/(?=/)|(?<=www)\.")


def render(results: Sequence[CaseResult], kernels: Sequence[KernelRecord], run: RunRecord | None = None) -> str:
    """Return the whole page."""
    drawn = columns.grid(results, kernels, run.get("loaders", []) if run else [])
    lines = ["# Kernel compatibility", ""]
    if run:
        host = run.get("host", {})
        told = f"{run.get('tool')}, {run.get('started')}, accelerator {host.get('accelerator')}."
        lines += [escape(told), ""]
    heads = ["<br>".join(escape(line) for line in columns.heads(k)) for k in drawn.kernels]
    lines.append("| case | " + " | ".join(heads) + " |")
    lines.append("|---|" + "---|" * len(heads))
    for row in drawn.rows:
        cells = []
        for kernel in drawn.kernels:
            found = drawn.cells.get((row, kernel["spec"]), [])
            text = " ".join("".join(m.symbol for m in marks.of_result(r)) for r in found)
            cells.append(text or columns.empty(kernel))
        lines.append(f"| {escape(row)} | " + " | ".join(cells) + " |")
    lines += ["", f"Three marks a cell: {', '.join(STAGES)}."]
    used = {m for found in drawn.cells.values() for r in found for m in marks.of_result(r)}
    lines += [f"{m.symbol} {m.meaning}. " for m in sorted(used, key=lambda m: m.meaning)]
    lines += ["", terminal.counts(results) + ".", ""]
    rows, specs = {row: row for row in drawn.rows}, [k["spec"] for k in drawn.kernels]
    lines += [f"- {escape(note)}" for note in (*terminal.notes(drawn), *remarks.lines(results, rows, specs))]
    for picture in twins.find(results, kernels):
        lines += ["", f"## What BTF is worth: {escape(picture.title)}", "", *twins_table(picture)]
    if len({result.get("loader") for result in results}) > 1:
        spoken = list(dict.fromkeys(k["of"] for k in drawn.kernels))
        lines += ["", "## Where the loaders disagree", "", *_disagreements(disagreement.find(results), spoken)]
    why = causes.find(results)
    if why:
        lines += ["", "## What did not pass", ""]
    for block in causes.lines(why, rows, specs):
        lines += [*fenced(block), ""]
    if command := causes.again(why):
        lines += ["One of these cells again:", "", *fenced([command])]
    return "\n".join(lines).rstrip() + "\n"


def twins_table(picture: twins.Picture) -> list[str]:
    """Return the lines of a pair of twins: a table of what objects lose, and the sentences below it."""
    heads = ["case", *(twins.HEADS[part] for part in picture.parts), "programs that work"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"] if picture.rows else []
    for row in picture.rows:
        cells = [row.name, *(row.shown(part) for part in picture.parts), picture.words(row)]
        lines.append(f"| {' | '.join(map(escape, cells))} |")
    return [*lines, "", *(f"- {escape(line)}" for line in picture.summary())]


def disagreements(found: Sequence[Refusal], kernels: Sequence[str]) -> str:
    """Return the page of where loaders disagree."""
    return "\n".join(["# Where the loaders disagree", "", *_disagreements(found, kernels)]).rstrip() + "\n"


def _disagreements(found: Sequence[Refusal], kernels: Sequence[str]) -> list[str]:
    rows = {refusal.row: refusal.row for refusal in found}
    lines = [escape(disagreement.summary(found)) + ".", ""]
    for head, *rest in disagreement.lines(found, rows, kernels):
        lines += [f"- {escape(head)}", *(f"  {escape(line.strip())}" for line in rest)]
    return lines


def escape(text: str) -> str:
    """Return one line that Markdown shows as it is, in a paragraph, list or table, printable.

    ASCII punctuation that begins something is escaped (CommonMark: "Backslash escapes"); an underscore only where it
    can: not between letters. ``<``, ``>`` and ``&`` become entities, for what reads HTML only.
    """
    return _SPECIAL.sub(lambda found: _ENTITIES.get(found[0]) or f"\\{found[0]}", printable(text))


def fenced(lines: Sequence[str]) -> list[str]:
    """Return printable lines in a code block, whose fence is longer than any run of backticks in them."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *lines, fence]
