"""Failures in our own words: one block instead of a Python traceback, with the line that pytest's summary shows."""

from __future__ import annotations

from pathlib import Path

from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from everykernel.errors import CaseError, EverykernelError, GuestError, HarnessError, UsageError
from everykernel.escaping import printable
from everykernel.matrix.records import CellReport
from everykernel.report import blocks

FAILED = "everykernel_failed"  # an attribute of pytest's report of a cell that failed


class CellFailed(CaseError):
    """A cell whose verdict is not what its case expects."""

    def __init__(self, report: CellReport) -> None:
        super().__init__(report["result"].get("message", ""))
        self.code = report["result"].get("code", "")
        self.report = report


class CellBroke(HarnessError):
    """A cell whose guest or harness broke: no verdict."""

    def __init__(self, report: CellReport) -> None:
        super().__init__(report["result"].get("message", ""))
        self.code = report["result"].get("code", "")
        self.report = report


def of_cell(report: CellReport, path: Path, verbose: int) -> ReprExceptionInfo:
    """Return what pytest prints for a cell that did not pass."""
    result = report["result"]
    lines = blocks.lines(result, console=report.get("console", ""), trace=report.get("trace", ""), verbose=verbose)
    stage = f"{result['stage']}: " if result.get("stage") else ""
    return _represent(lines, path, 0, f"{stage}{result.get('code')}: {result.get('message')}")


def of_error(error: EverykernelError, path: Path, line: int, again: str, verbose: int) -> ReprExceptionInfo:
    """Return what pytest prints for one of our errors that a test ran into, with the test's own line."""
    code = "" if isinstance(error, UsageError) else f"{error.code}: "
    lines = [f"{path}:{line}: {code}{error}" if line else f"{code}{error}"]
    lines.extend(blocks.of_stages(getattr(error, "stages", {}), verbose=verbose))
    console = getattr(error, "console", "")
    if isinstance(error, GuestError) and console:
        lines.append("  console, last lines:")
        lines.extend(blocks.tail(console))
    lines.append(f"  again: {again}")
    return _represent(lines, path, line, f"{code}{error}")


def _represent(lines: list[str], path: Path, line: int, message: str) -> ReprExceptionInfo:
    entry = ReprEntryNative([printable(text) + "\n" for text in lines])
    return ReprExceptionInfo(
        reprtraceback=ReprTraceback([entry], None, style="native"),
        reprcrash=ReprFileLocation(printable(str(path)), line, printable(message)),
    )
