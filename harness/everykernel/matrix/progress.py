"""Where a run stands: a line for each kernel and for each download, to be painted by a terminal of any kind.

The board only keeps the state, under a lock: workers tell it, whoever owns the terminal asks it for lines.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field

from everykernel.escaping import printable
from everykernel.kernels.progress import Task

OUTCOMES = ("passed", "failed", "error")


@dataclass
class _Column:
    spec: str
    total: int = 0
    phase: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    reused: int = 0

    @property
    def done(self) -> int:
        return sum(self.counts.values())

    def text(self) -> str:
        tally = ", ".join(f"{self.counts[o]} {o}" for o in OUTCOMES if o in self.counts)
        count = f"{self.done}/{self.total}" if self.total else str(self.done)
        unit = "cell" if (self.total or self.done) == 1 else "cells"
        reused = f"{self.reused} reused" if self.reused else ""
        return " · ".join(part for part in (f"{count} {unit}", tally, reused, self.phase) if part)


@dataclass
class _Task:
    description: str
    total: int | None
    cancelled: threading.Event
    done: int = 0

    def advance(self, amount: int) -> None:
        """Add to what is done; raise CancelledError once the run is over, so that a download does not hold it up."""
        if self.cancelled.is_set():
            raise CancelledError(self.description)
        self.done += amount

    def text(self) -> str:
        if self.total is None:
            return f"{self.description} …"
        if not self.total:
            return self.description
        return f"{self.description} {100 * self.done // self.total:3d} % of {self.total / 1e6:.1f} MB"


class Board:
    """The state of a run. It is a `kernels.progress.Progress`, so that downloads and boots tell it as well.

    Attributes:
        announce: whether a kernel whose last cell ended is told in a message: where there are no live lines.
    """

    def __init__(self) -> None:
        self.announce = True
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._columns: dict[str, _Column] = {}
        self._tasks: list[_Task] = []
        self._messages: deque[str] = deque()

    # --- told by workers

    def expect(self, spec: str, cells: int = 1) -> None:
        """Add cells to a kernel's total."""
        with self._lock:
            self._column(spec).total += cells

    def phase(self, spec: str, text: str) -> None:
        """Say what is being done for a kernel; "" for nothing but its cells."""
        with self._lock:
            self._column(spec).phase = text

    def ended(self, spec: str, outcome: str, *, reused: bool = False) -> None:
        """Count a cell that ended; ``reused``: it was not run."""
        with self._lock:
            column = self._column(spec)
            column.reused += reused
            column.counts[outcome] = column.counts.get(outcome, 0) + 1
            if column.done == column.total and self.announce:
                self._messages.append(f"{spec}: {column.text()}")

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        """Show a piece of work while the context lasts."""
        task = _Task(description, total, self._cancelled)
        with self._lock:
            self._tasks.append(task)
        try:
            yield task
        finally:
            with self._lock:
                self._tasks.remove(task)

    def note(self, message: str) -> None:
        """Show one line, once."""
        with self._lock:
            self._messages.append(message)

    def cancel(self) -> None:
        """End the work that is under way: nobody waits for it any more."""
        self._cancelled.set()

    def _column(self, spec: str) -> _Column:
        return self._columns.setdefault(spec, _Column(spec))

    # --- asked by whoever owns the terminal

    def lines(self) -> list[str]:
        """Return the live lines: kernels that are not done, then work under way; each is printable."""
        with self._lock:
            width = max((len(s) for s in self._columns), default=0)
            columns = [f"{c.spec:<{width}}  {c.text()}" for c in self._columns.values() if c.done < c.total or c.phase]
            return [printable(line) for line in columns + [t.text() for t in self._tasks]]

    def messages(self) -> list[str]:
        """Return the lines that were noted since the last call; each is printable."""
        with self._lock:
            taken = [printable(message) for message in self._messages]
            self._messages.clear()
            return taken
