"""The matrix as Markdown, to be published beside a project's own pages."""

from __future__ import annotations

from collections.abc import Sequence

from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult, KernelRecord, RunRecord
from everykernel.report import blocks, columns, marks, terminal


def render(results: Sequence[CaseResult], kernels: Sequence[KernelRecord], run: RunRecord | None = None) -> str:
    """Return the whole page."""
    drawn = columns.grid(results, kernels)
    lines = ["# Kernel compatibility", ""]
    if run:
        host = run.get("host", {})
        lines += [f"{run.get('tool')}, {run.get('started')}, accelerator {host.get('accelerator')}.", ""]
    heads = ["<br>".join(_escape(line) for line in columns.heads(k)) for k in drawn.kernels]
    lines.append("| case | " + " | ".join(heads) + " |")
    lines.append("|---|" + "---|" * len(heads))
    for row in drawn.rows:
        cells = []
        for kernel in drawn.kernels:
            found = drawn.cells.get((row, kernel["spec"]), [])
            text = " ".join("".join(m.symbol for m in marks.of_result(r)) for r in found)
            cells.append(text or ("missing" if kernel.get("missing") else ""))
        lines.append(f"| {_escape(row)} | " + " | ".join(cells) + " |")
    lines += ["", f"Three marks a cell: {', '.join(STAGES)}."]
    used = {m for found in drawn.cells.values() for r in found for m in marks.of_result(r)}
    lines += [f"{m.symbol} {m.meaning}. " for m in sorted(used, key=lambda m: m.meaning)]
    lines += ["", terminal.counts(results) + ".", ""]
    lines += [f"- {_escape(note)}" for note in terminal.notes(drawn)]
    wrong = [r for r in results if r.get("outcome") != records.PASSED]
    if wrong:
        lines += ["", "## What did not pass", ""]
    for result in wrong:
        lines += ["```text", *blocks.lines(result), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
