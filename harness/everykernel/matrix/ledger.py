"""The ledger of a run: every result and all that became known about its kernels, in memory and, if asked, on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from everykernel.matrix import records
from everykernel.matrix.records import CaseResult, CellReport, KernelRecord

Writer = Callable[[CellReport], None]


class Ledger:
    """Collects cells as they end, each once.

    Args:
        kernels: the columns, as far as they are known, in order.
        writers: called with each new cell, before it is in `results`.
    """

    def __init__(self, kernels: list[KernelRecord], writers: list[Writer] | None = None) -> None:
        self.results: list[CaseResult] = []
        self._kernels: dict[str, KernelRecord] = {k["spec"]: k for k in kernels}
        self._writers = writers or []
        self._seen: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    def in_order(self, tests: Sequence[str]) -> list[CaseResult]:
        """Return the results in the order of their tests, those of other tests last."""
        order = {test: number for number, test in enumerate(tests)}
        return sorted(self.results, key=lambda r: order.get(r.get("test") or "", len(order)))

    @property
    def kernels(self) -> list[KernelRecord]:
        """The columns with all that is known of them."""
        return list(self._kernels.values())

    def add(self, report: CellReport) -> bool:
        """Take a cell in; return False if it was there already."""
        result = report["result"]
        with self._lock:
            key = records.key(result)
            if key in self._seen:
                return False
            self._seen.add(key)
            kernel = report.get("kernel")
            if kernel:
                self._kernels.setdefault(kernel["spec"], {"spec": kernel["spec"]}).update(kernel)
            for write in self._writers:
                write(report)
            self.results.append(result)
            return True
