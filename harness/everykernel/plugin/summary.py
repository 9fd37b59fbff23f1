"""The matrix in pytest's summary."""

from __future__ import annotations

import io
from typing import Any

from everykernel.escaping import printable
from everykernel.plugin.session import KernelSession
from everykernel.report import terminal
from everykernel.report.screen import Screen


def write(reporter: Any, session: KernelSession) -> None:
    """Write matrix, legend, counts and cost to pytest's terminal reporter, in its colours, if it has any."""
    text = io.StringIO()
    console = Screen(
        file=text,
        width=reporter._tw.fullwidth,
        force_terminal=reporter.hasmarkup,
        no_color=not reporter.hasmarkup,
    )
    encoding = getattr(reporter._tw._file, "encoding", None) or "ascii"
    unicode = encoding.lower().replace("-", "") == "utf8"
    terminal.show_matrix(console, session.results, session.ledger.kernels, session.loaders(), unicode=unicode)
    reporter.write_sep("=", "kernel matrix")
    for line in text.getvalue().splitlines():
        reporter.write_line(line.rstrip())
    for line in (session.cost.text(), *session.cost.notes):
        reporter.write_line(printable(line))
    if session.attendance.told:
        reporter.write_line(printable(session.attendance.told))
    if session.attendance.error:
        reporter.write_line(printable(session.attendance.error), red=True, bold=True)
    if session.folder is not None:
        reporter.write_line(printable(f"report: {session.folder}"))
