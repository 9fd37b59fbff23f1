"""The controller of pytest-xdist: it runs no test, owns the terminal and the report, and has the kernels made ready."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from everykernel.errors import EverykernelError
from everykernel.plugin.division import TOTAL
from everykernel.plugin.session import RUN, KernelSession


class Controller:
    """The hooks of the controlling process of one session."""

    def __init__(self, session: KernelSession) -> None:
        self._session = session

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Find out before workers start whether the kernels can be had: a worker could not say it in one line."""
        if not self._session.settings.dry and self._session.settings.specs:
            self._session.check()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker which run it is of, where verdicts name it."""
        if self._session.settings.reuse is not None and not self._session.settings.dry:
            node.workerinput[RUN] = self._session.identity

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """Learn from the first worker which kernels are needed, and make them ready.

        Workers get nothing to do before this returns: kernels boot here, where the terminal is, and once.
        """
        mine = self._session
        if mine.order or mine.settings.dry:
            return
        mine.order = list(ids)
        specs = [c.spec for c in mine.columns if not c.missing]
        counts = Counter(kernel_in(node_id, specs) for node_id in ids)
        mine.attendance.guessed = [node_id for node_id in ids if kernel_in(node_id, specs)]
        used = [spec for spec in specs if counts[spec]]
        mine.used = set(used)
        for spec in used:
            mine.board.expect(spec, counts[spec])
        mine.begin()
        if mine.settings.reuse:  # perhaps nothing is run: each kernel is made ready by who needs it first
            return
        for ready in [mine.campaign.ready(spec) for spec in used]:
            with contextlib.suppress(EverykernelError):  # told by each item that needs the kernel
                mine.painter.wait(ready)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:
        """Learn what a worker's kernels took, and which items have to have results."""
        output = getattr(node, "workeroutput", {})
        self._session.total = max(self._session.total, output.get(TOTAL, 0))
        told = output.get("everykernel")
        if told:
            made, notes, planned, deselected = told
            self._session.deselected |= deselected
            self._session.cost.merge(made, notes)
            self._session.attendance.plan(planned)


def kernel_in(nodeid: str, specs: Sequence[str]) -> str:
    """Return the kernel in a node's name, which may stand in its brackets beside other parameters; "" without one."""
    inside = nodeid.partition("[")[2].removesuffix("]")
    found = [s for s in specs if inside == s or inside.startswith(f"{s}-") or inside.endswith(f"-{s}")]
    return max(found, key=len, default="")
