"""The gate of a pytest run: which items may fail as they do, and what the run as a whole comes to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from everykernel.gates import policy as policies
from everykernel.gates.baseline import FILENAME
from everykernel.gates.gate import Gate, Judged
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

    The results keep what happened.
    """
    if report.outcome != "failed" or not session.gate.policy.asks:
        return
    kernels = [column.record() for column in session.columns]
    if why := session.gate.excuse(made["result"], made["kernel"], kernels):
        report.outcome = "skipped"
        report.wasxfail = f"reason: {why}"


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
