"""Whether every cell of a pytest run is in its results: what was planned, what pytest reported, what was recorded."""

from __future__ import annotations

from collections.abc import Iterable

import pytest


class Attendance:
    """Follows items that run on kernels, by their nodes.

    Attributes:
        planned: the items of the run, deselected ones left out.
        guessed: what the items' names tell of the plan, where no worker lived to tell it.
        error: what is said of a run whose results lack a cell; "" where they lack none.
        told: how many cells of how many were recorded, where the run was stopped.
    """

    def __init__(self) -> None:
        self.planned: dict[str, None] = {}
        self.error = ""
        self.guessed: list[str] = []
        self.told = ""
        self._reported: set[str] = set()
        self._excused: set[str] = set()
        self._skipped: set[str] = set()

    def plan(self, nodes: Iterable[str]) -> None:
        """Add items that this run is to have results of."""
        self.planned.update(dict.fromkeys(nodes))

    def follow(self, report: pytest.TestReport) -> None:
        """Take note of what pytest reports of an item: that it came to its verdict, and whether it needs a result.

        A test that was skipped needs none, nor one that failed before it had a kernel: what failed is told by pytest.
        """
        if report.when == "call" or (report.when == "setup" and report.failed):
            self._reported.add(report.nodeid)
        if report.skipped or getattr(report, "everykernel_none", False):
            self._excused.add(report.nodeid)
        if report.skipped:
            self._skipped.add(report.nodeid)

    def close(self, recorded: Iterable[str | None], *, stopped: bool) -> None:
        """Compare the items with those whose results were recorded.

        Args:
            recorded: their nodes.
            stopped: whether the run was ended early: items that pytest did not come to have no results then.
        """
        from everykernel.matrix.ledger import lost

        there = set(recorded)
        wanted = [node for node in self.planned or self.guessed if node not in self._excused]
        missing = [node for node in wanted if node not in there and (not stopped or node in self._reported)]
        if stopped:
            count = sum(node in there for node in wanted)
            self.told = f"stopped: {count} of {len(wanted)} cell{'' if len(wanted) == 1 else 's'} recorded"
        every = self.planned or self.guessed
        if not stopped and not there and all(node in self._skipped for node in every):
            number = len(every)
            skipped = f"all {number} of them were skipped" if number > 1 else "its one cell was skipped"
            self.error = f"harness-error: no cell of this run ran: {skipped}"
        if missing:
            self.error = f"harness-error: {lost(missing)}"
