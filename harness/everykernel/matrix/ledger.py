"""The ledger of a run: every result and all that became known about its kernels, in memory and, if asked, on disk.

It also holds what was planned, so that a cell which is nowhere in the results is found at the end, whatever lost it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence

from everykernel.errors import HarnessError
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult, CellReport, KernelRecord

Writer = Callable[[CellReport], None]

_TOLD = 10  # names of cells that a message tells


class Ledger:
    """Collects cells as they end, each once.

    A cell counts as recorded once its writers have written. An exception in one of them makes the cell a
    ``harness-error``, and that is written instead.

    Args:
        kernels: the columns, as far as they are known, in order.
        writers: called with each new cell, before it is in `results`.
    """

    def __init__(self, kernels: list[KernelRecord], writers: list[Writer] | None = None) -> None:
        self.results: list[CaseResult] = []
        self._kernels: dict[str, KernelRecord] = {k["spec"]: k for k in kernels}
        self._writers = writers or []
        self._planned: dict[str, None] = {}  # names, in order
        self._recorded: set[str] = set()
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

    @property
    def recorded(self) -> set[str]:
        """The names of the cells that were written."""
        with self._lock:
            return set(self._recorded)

    # --- what was planned, by names as `records.name` gives them

    def plan(self, names: Iterable[str]) -> None:
        """Add cells that this run is to record."""
        with self._lock:
            self._planned.update(dict.fromkeys(names))

    def drop(self, name: str) -> None:
        """Take a cell out of the plan: there is a reason why it has no result (its test was skipped)."""
        with self._lock:
            self._planned.pop(name, None)

    def missing(self) -> list[str]:
        """Return the names of cells that were planned and are not recorded."""
        with self._lock:
            return [name for name in self._planned if name not in self._recorded]

    def tally(self) -> str:
        """Return how many of the planned cells are recorded: ``3 of 8 cells recorded``."""
        missing = len(self.missing())
        total = len(self._planned)
        return f"{total - missing} of {total} cell{'' if total == 1 else 's'} recorded"

    # --- what is recorded

    def add(self, report: CellReport) -> bool:
        """Take a cell in; return False if it was there already.

        Where it could not be written, the report itself is changed to say so.
        """
        with self._lock:
            key = records.key(report["result"])
            if key in self._seen:
                return False
            kernel = report.get("kernel")
            if kernel:
                self._kernels.setdefault(kernel["spec"], {"spec": kernel["spec"]}).update(kernel)
            written = self._write(report)
            self.results.append(report["result"])
            self._seen.add(key)
            if written:
                self._recorded.add(records.name(report["result"]))
            return True

    def _write(self, report: CellReport) -> bool:
        """Hand a cell to each writer; one that raises gets what is left of it, and is the cell's error.

        Return False where a writer took neither: then the cell is not recorded.
        """
        failed: list[Writer] = []
        for write in self._writers:
            try:
                write(report)
            except Exception as e:
                failed.append(write)
                records.unwritten(report, e)
        written = 0
        for write in failed:
            with contextlib.suppress(Exception):
                write(records.bare(report))
                written += 1
        return written == len(failed)


def lost(missing: Sequence[str]) -> HarnessError:
    """Return the error of a run in which cells were planned and are not recorded; it names them."""
    names = ", ".join(missing[:_TOLD]) + (f" and {len(missing) - _TOLD} more" if len(missing) > _TOLD else "")
    count = f"{len(missing)} cell{'' if len(missing) == 1 else 's'}"
    return HarnessError(f"{count} of this run {'is' if len(missing) == 1 else 'are'} not in its results: {names}")
