"""pytest's hooks around a kernel session: what happens when."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from everykernel.errors import EverykernelError
from everykernel.escaping import printable
from everykernel.plugin.options import NO_KERNELS
from everykernel.plugin.session import SPEC, KernelSession, spec_of

if TYPE_CHECKING:
    from everykernel.matrix.records import CellReport

_TO_THE_END = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


class Hooks:
    """The hooks of one session. In a run without kernel tests they do nothing, and import nothing."""

    def __init__(self, session: KernelSession) -> None:
        self._session = session

    def pytest_report_header(self, config: pytest.Config) -> str | None:
        """Name kernels and accelerator."""
        settings = self._session.settings
        if not settings.specs or self._session.worker:
            return None
        head = f"everykernel: kernels {', '.join(settings.specs)}"
        if settings.shard is not None:
            head += f"; shard {settings.shard}"
        return printable(head if settings.dry else f"{head}; accelerator {_accelerator(settings.accel)}")

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Take note that a run is not of everything."""
        self._session.deselected |= any(spec_of(item) is not None for item in items)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Leave to others what is not run here, and raise what was found while collecting; nothing was booted yet."""
        if self._session.settings.shard is not None or self._session.settings.selected is not None:
            from everykernel.plugin import division

            division.divide(self._session, session.config, items)
        if not self._session.settings.dry and any(spec_of(item) is not None for item in items):
            self._session.check(items)

    def pytest_report_collectionfinish(self) -> str | None:
        """Say how many items are in this shard."""
        return f"everykernel: {self._session.told}" if self._session.told else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Begin: every cell is scheduled, kernels are made ready while the first tests run."""
        mine = self._session
        if session.config.option.collectonly or mine.distributed:
            return
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            return
        mine.order = [item.nodeid for item in session.items]
        selected = [item for item in session.items if spec_of(item) not in (None, NO_KERNELS)]
        mine.used = {spec_of(item) or "" for item in selected}
        for item in selected:
            mine.expect(item)
        mine.attendance.plan(item.nodeid for item in selected)
        if selected and not mine.worker:
            mine.begin()
            mine.ledger  # noqa: B018 - an empty report is a report
            mine.submit(selected)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, bool, bool]:
        """Have the guests of this item and the next restored ahead."""
        coming = [i for i in (item, nextitem) if i is not None and spec_of(i) not in (None, NO_KERNELS)]
        if not coming:
            return (yield)
        from everykernel.plugin import lend

        self._session.submit(coming)
        for ahead in coming:
            if SPEC not in ahead.stash:  # cells start their own guests
                lend.request(self._session, ahead)
        try:
            return (yield)
        finally:
            lend.drop(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach a cell's result; tell a broken guest from a failure."""
        report = yield
        if spec_of(item) is not None:
            from everykernel.plugin import verdict

            verdict.attach(self._session, item, call, report)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """Take results in; in the process that owns the terminal, workers' results too.

        A result that cannot be written makes the report an error, before anybody counts it.
        """
        mine = self._session
        if not mine.worker:
            mine.attendance.follow(report)
            cell: CellReport | None = getattr(report, "everykernel", None)
            if cell is not None:
                self._take(cell, report)
        return (yield)

    def _take(self, cell: CellReport, report: pytest.TestReport) -> None:
        mine = self._session
        before = cell["result"]["outcome"]
        new = mine.ledger.add(cell)
        result = cell["result"]
        if new and result["outcome"] != before:
            from everykernel.plugin.crash import of_cell

            report.outcome, report.when = "failed", "setup"  # what breaks there is an error, everywhere
            report.longrepr = of_cell(cell, Path(report.nodeid.partition("::")[0]), 0)
        if mine.distributed or (new and not hasattr(report, "everykernel_cell")):
            mine.board.ended(result["kernel"], result["outcome"], reused="reused" in result)
            mine.painter.flush()
        mine.stands()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """End every guest, and the report; compare the cells of the run with those in its results."""
        mine = self._session
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and mine.empty_by_right and not mine.worker:
            mine.ledger  # noqa: B018 - the report of a shard without cells is one of those that are merged
        try:
            mine.close()
        except EverykernelError as e:
            mine.attendance.error = f"{e.code}: {e}"
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        if mine.worker or session.config.option.collectonly:
            return
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and mine.empty_by_right:
            session.exitstatus = pytest.ExitCode.OK
        if not (mine.attendance.planned or mine.attendance.guessed):
            return
        stopped = bool(session.shouldstop or session.shouldfail) or exitstatus not in _TO_THE_END
        mine.attendance.close(mine.recorded, stopped=stopped)
        self._gate(session, stopped=stopped)
        self._close(session)

    def _close(self, session: pytest.Session) -> None:
        """Settle the exit code, and tell it to whoever reads the stream."""
        mine = self._session
        if mine.attendance.error and session.exitstatus in (*_TO_THE_END, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        if mine.stream is not None:
            mine.stream.end(mine.board.standing(), int(session.exitstatus))

    def _gate(self, session: pytest.Session, *, stopped: bool) -> None:
        """Hold the run against baseline and rules; what only the whole run shows makes it fail too."""
        from everykernel.plugin import gating

        mine = self._session
        try:
            mine.judged = gating.judge(mine, partial=stopped or mine.deselected)
        except EverykernelError as e:
            mine.attendance.error = mine.attendance.error or f"{e.code}: {e}"
            return
        if mine.judged is not None and mine.judged.verdict.exit_code and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None]:
        """Show the matrix before the blocks of what failed."""
        if self._session.empty_by_right and not self._session.results:
            terminalreporter.write_line(printable(f"everykernel: {self._session.empty_by_right}"))
        if not self._session.results and not self._session.attendance.error:
            return (yield)
        from everykernel.plugin import summary

        self._session.painter.flush()
        summary.write(terminalreporter, self._session)
        with summary.grouped(terminalreporter, self._session):
            return (yield)


def _accelerator(request: str) -> str:
    """Return the verdict on the accelerator, as far as nothing has to be booted for it."""
    from everykernel.architectures import DEFAULT
    from everykernel.machine import accel, process

    try:
        verdict = accel.known(request, DEFAULT, process.find(DEFAULT.qemu))
    except EverykernelError as e:
        return f"none: {e}"
    return str(verdict or f"{request}, to be probed with the first kernel")
