"""What a gate says, in lines and as Markdown: the headline, then a line for each change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from everykernel.errors import GuestError, HarnessError
from everykernel.gates.changes import Change, Kind
from everykernel.gates.gate import Verdict
from everykernel.matrix import records
from everykernel.report.blocks import short
from everykernel.report.columns import ranges
from everykernel.report.markdown import escape

_MOST = 100  # lines of changes that are shown
_BROKEN = 5  # cells without a verdict that are named

_COLOURS = {0: "green", GuestError.exit_code: "indeterminate", HarnessError.exit_code: "indeterminate"}


def headline(verdict: Verdict) -> str:
    """Return the verdict in a line: its colour, what decided, and every cell in one of the counts."""
    decided = Counter(change.kind for change in verdict.changes if change.decides)
    why = ", ".join(f"{decided[kind]} {kind}" for kind in Kind if decided[kind])
    colour = _COLOURS.get(verdict.exit_code, "red")
    return f"gate: {colour}{f': {why}' if why else ''}; {counts(verdict)}"


def counts(verdict: Verdict) -> str:
    """Return how many cells there are of each kind: ``48 cells: 40 passed, 5 still failing, 3 indeterminate``."""
    cells = verdict.counts
    parts = [f"{cells.total} cell{'' if cells.total == 1 else 's'}: {cells.passed} passed"]
    who = [
        f"{number} {name}"
        for number, name in ((cells.guest, "guest broke"), (cells.harness, "harness broke"))
        if number
    ]
    told = (
        (cells.failing, "failing"),
        (cells.still_failing, "still failing"),
        (cells.indeterminate, f"indeterminate ({', '.join(who)})"),
        (cells.advisory, "not green on advisory kernels"),
        (cells.flaky, "of them flaky"),
    )
    return ", ".join(parts + [f"{number} {name}" for number, name in told if number])


def lines(verdict: Verdict, kernels: Sequence[str], baseline: str = "", most: int = _MOST) -> list[str]:
    """Return the headline and a printable line for each change; more than ``most`` are counted.

    Args:
        verdict: what the gate says.
        kernels: the columns, in order.
        baseline: the file, as lines name it.
        most: lines of changes.
    """
    found = [headline(verdict)]
    found += [f"  {of_change(change, kernels, baseline)}" for change in verdict.changes[:most]]
    if len(verdict.changes) > most:
        found.append(f"  … and {len(verdict.changes) - most} more")
    found += [f"  indeterminate: {broken}" for broken in _broken(verdict)]
    if verdict.partial:
        found.append("  of a part: what the baseline says of other objects and kernels is left alone")
    return [short(line) for line in found]


def of_change(change: Change, kernels: Sequence[str], baseline: str = "") -> str:
    """Return a change in a line."""
    on = f" on {', '.join(ranges(change.kernels, kernels))}" if change.kernels else ""
    detail = f": {change.detail}" if change.detail else ""
    line = f" ({baseline}:{change.line})" if change.line and baseline else ""
    return f"{change.kind}: {change.what}{on}{detail}{line}{'' if change.decides else ' (advisory: does not decide)'}"


def markdown(verdict: Verdict, kernels: Sequence[str], baseline: str = "", most: int = _MOST) -> str:
    """Return the verdict as Markdown, for a job summary or a comment."""
    head, *rest = lines(verdict, kernels, baseline, most)
    return "\n".join([f"**{escape(head)}**", "", *(f"- {escape(line.strip())}" for line in rest)]).rstrip() + "\n"


def _broken(verdict: Verdict) -> list[str]:
    told = []
    for cell in verdict.broken[:_BROKEN]:
        result = cell.result
        told.append(f"{records.name(result)}: {result.get('code', '')}: {result.get('message', '')}")
    if len(verdict.broken) > _BROKEN:
        told.append(f"… and {len(verdict.broken) - _BROKEN} more cells without a verdict")
    return told
