"""The gate of a pytest run: which items may fail as they do, and what the run as a whole comes to."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from everykernel.gates import policy as policies
from everykernel.gates.baseline import FILENAME
from everykernel.gates.changes import expecting
from everykernel.gates.findings import GUEST, survey
from everykernel.gates.gate import Gate, Judged
from everykernel.gates.where import KernelSeen
from everykernel.matrix.records import SCHEMA, CellReport
from everykernel.plugin.options import GateSettings
from everykernel.report import gate as telling

if TYPE_CHECKING:
    from everykernel.plugin.session import KernelSession


def make(asked: GateSettings, folder: Path) -> Gate:
    """Return the gate of a session; raise UsageError for what cannot be understood, or is not there.

    Args:
        asked: what the run is held against.
        folder: where pytest was called.
    """
    policy = policies.of_project(asked.project, baseline=asked.baseline, partial=True if asked.partial else None)
    if asked.update and policy.baseline is None:
        policy = replace(policy, baseline=folder / FILENAME)
    return Gate.of(policy, updates=asked.update)


def excuse(session: KernelSession, report: pytest.TestReport, made: CellReport) -> None:
    """Make pytest's report of an item that failed an expected failure, where it does not decide.

    It does not on an advisory kernel, where the baseline lists all that is not green in its cell, and where that is
    written to the baseline now. The results keep what happened.
    """
    if report.outcome != "failed" or not session.gate.policy.asks:
        return
    if why := _why(session, made):
        report.outcome = "skipped"
        report.wasxfail = f"reason: {why}"


def _why(session: KernelSession, made: CellReport) -> str:
    """Return why a cell may fail as it does; "" where it may not."""
    gate = session.gate
    policy = gate.policy
    [cell] = survey([made["result"]], [made["kernel"]], root=policy.root, splats=policy.splats).cells
    if policy.is_advisory(cell.kernel):
        return f"{cell.kernel.spec} is advisory"
    if gate.baseline is None or not cell.findings:
        return ""
    if gate.updates and all(thing.stage != GUEST for thing in cell.findings):
        return f"written to {policy.baseline}"
    kernels = [KernelSeen.of(column.record()) for column in session.columns]
    return expecting(gate.baseline, cell, kernels, datetime.datetime.now(datetime.UTC).date())


def judge(session: KernelSession, *, partial: bool) -> Judged | None:
    """Return what the gate says of a session that ended, None where nothing was asked of it.

    Args:
        session: the session.
        partial: whether items were left out.
    """
    if not session.gate.policy.asks:
        return None
    run = {"id": "", "started": "", "tool": "", "host": {}}
    return session.gate.judge(
        {"schema": SCHEMA, "run": run, "results": session.results, "kernels": session.ledger.kernels},  # type: ignore[typeddict-item]
        partial=partial,
    )


def lines(session: KernelSession, judged: Judged) -> list[str]:
    """Return the verdict, and what became of the baseline, in printable lines."""
    path = str(session.gate.policy.baseline or "")
    told = telling.lines(judged.verdict, [kernel["spec"] for kernel in session.ledger.kernels], path)
    if judged.updated is not None:
        made = judged.updated
        told.append(f"{path}: {made.added} added, {made.removed} removed, {made.kept} kept")
    return told
