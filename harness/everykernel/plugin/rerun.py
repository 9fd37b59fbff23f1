"""Tests that a user wrote, whose guest or harness broke: run again with a fresh guest, fixtures and all.

A test that shares its guest is not: what the tests before it did there would be missing. Where pytest-rerunfailures is
installed and was asked to rerun, that decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol

from everykernel.errors import UsageError
from everykernel.plugin.options import NO_KERNELS
from everykernel.plugin.session import SPEC, KernelSession, spec_of

if TYPE_CHECKING:
    from everykernel.matrix.records import CellReport


class Rerun:
    """Runs such tests in the place of pytest's own runner, whose steps these are."""

    def __init__(self, session: KernelSession) -> None:
        self._session = session

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a test until it comes to a verdict, or has been run again as often as was said; report the last run."""
        if not self._may_run_again(item):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports(item, nextitem):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _reports(self, item: pytest.Item, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        from everykernel.matrix import records
        from everykernel.plugin.verdict import UNDER_TEST, mark_flaky

        earlier: list[CellReport] = []
        known = list(item.user_properties)
        while True:
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            cell = next((_cell(report) for report in reports if _cell(report) is not None), None)
            if cell is None or len(earlier) >= self._session.settings.retries or not records.broke(cell["result"]):
                break
            earlier.append(cell)
            self._session.board.note(f"{item.nodeid}: {cell['result']['message']}; it is run again")
            if UNDER_TEST in item.stash:
                del item.stash[UNDER_TEST]
            item.user_properties[:] = known
        if cell is not None:
            records.keep_attempts(cell, earlier)
            mark_flaky(cell["result"], reports)
        return reports

    def _may_run_again(self, item: pytest.Item) -> bool:
        if SPEC in item.stash or spec_of(item) in (None, NO_KERNELS) or not self._session.settings.retries:
            return False
        if getattr(item.config.option, "reruns", None):  # of pytest-rerunfailures
            return False
        from everykernel.plugin import lend

        try:
            return lend.shared_in(item) is None
        except UsageError:
            return False  # told when the item itself asks


def _cell(report: pytest.TestReport) -> Any:
    return getattr(report, "everykernel", None)
