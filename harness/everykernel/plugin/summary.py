"""The matrix in pytest's summary, and why cells failed where they are many."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from everykernel.escaping import printable
from everykernel.plugin.crash import FAILED
from everykernel.plugin.session import KernelSession
from everykernel.report import terminal
from everykernel.report.screen import Screen

_MOST = 8  # cells that failed, each with a block of its own; more are grouped by cause


def write(reporter: Any, session: KernelSession) -> None:
    """Write matrix, legend, counts and cost to pytest's terminal reporter, in its colours, if it has any."""
    encoding = getattr(reporter._tw._file, "encoding", None) or "ascii"
    unicode = encoding.lower().replace("-", "") == "utf8"
    reporter.write_sep("=", "kernel matrix")
    _show(
        reporter,
        lambda console: terminal.show_matrix(
            console, session.results, session.ledger.kernels, session.loaders(), unicode=unicode
        ),
    )
    _show(reporter, lambda console: terminal.show_twins(console, session.results, session.ledger.kernels))
    for line in (session.cost.text(), *session.cost.notes):
        reporter.write_line(printable(line))
    if session.attendance.told:
        reporter.write_line(printable(session.attendance.told))
    if session.judged is not None:
        from everykernel.plugin import gating

        red = bool(session.judged.verdict.exit_code)
        for line in gating.lines(session, session.judged):
            reporter.write_line(line, red=red)
    if session.attendance.error:
        reporter.write_line(printable(session.attendance.error), red=True, bold=True)
    if session.folder is not None:
        reporter.write_line(printable(f"report: {session.folder}"))


@contextmanager
def grouped(reporter: Any, session: KernelSession) -> Iterator[None]:
    """Tell many cells that failed by cause, and not a second time in pytest's own blocks and short summary.

    Nothing is grouped with ``-v``. Tests that users wrote keep their blocks, as do cells whose guest broke.
    """
    every = reporter.stats.get("failed", [])
    cells = {report.nodeid for report in every if hasattr(report, FAILED)}
    if len(cells) <= _MOST or reporter.config.get_verbosity() > 0:
        yield
        return
    told: list[Any] = [{"result": result} for result in session.results if result.get("test") in cells]
    reporter.write_sep("=", "kernel failures")
    _show(reporter, lambda console: terminal.show_failures(console, told, session.ledger.kernels))
    reporter.stats["failed"] = [report for report in every if report.nodeid not in cells]
    try:
        yield
    finally:
        reporter.stats["failed"] = every  # which pytest counts after its summary


def _show(reporter: Any, show: Callable[[Screen], None]) -> None:
    """Write what ``show`` prints, as wide and with the colours of pytest's terminal reporter."""
    text = io.StringIO()
    console = Screen(
        file=text,
        width=reporter._tw.fullwidth,
        force_terminal=reporter.hasmarkup,
        no_color=not reporter.hasmarkup,
    )
    show(console)
    for line in text.getvalue().splitlines():
        reporter.write_line(line.rstrip())
