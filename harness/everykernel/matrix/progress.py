"""Where a run stands: a line for each kernel and machine and each download, to be painted by a terminal of any kind.

The board only keeps the state, under a lock: workers tell it, whoever owns the terminal asks it for lines, and whoever
tells other programs for the whole (`Standing`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from everykernel.escaping import printable
from everykernel.kernels.progress import Task
from everykernel.matrix.pace import Left, Pace

OUTCOMES = ("passed", "failed", "error")


class Count(NamedTuple):
    """The cells of one kernel on one machine.

    Attributes:
        kernel: its spec.
        machine: what was asked for beside the usual, in words; "" for nothing.
        total: cells that are known of.
        done: of them ended; ``reused`` and those of each outcome are among them.
        running: in a guest now.
        phase: what is being done for the kernel, "" for nothing but its cells.
    """

    kernel: str
    machine: str
    total: int
    done: int
    reused: int
    running: int
    outcomes: dict[str, int]
    phase: str


class Standing(NamedTuple):
    """Where a run stands as a whole; ``left`` is None as long as nothing is to be said of the time."""

    counts: list[Count]
    left: Left | None

    def sum(self, name: str) -> int:
        """Return how many cells there are of a kind: ``total``, ``done``, ``reused``, ``running``."""
        return sum(getattr(one, name) for one in self.counts)


@dataclass
class _Column:
    spec: str
    machine: str = ""
    total: int = 0
    phase: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    reused: int = 0
    running: int = 0

    @property
    def name(self) -> str:
        return f"{self.spec} ({self.machine})" if self.machine else self.spec

    @property
    def done(self) -> int:
        return sum(self.counts.values())

    @property
    def under_way(self) -> int:
        """Cells that run and have not ended: one that has is let go a moment later."""
        return min(self.running, self.total - self.done) if self.total else self.running

    def text(self) -> str:
        tally = ", ".join(f"{self.counts[o]} {o}" for o in OUTCOMES if o in self.counts)
        count = f"{self.done}/{self.total}" if self.total else str(self.done)
        unit = "cell" if (self.total or self.done) == 1 else "cells"
        reused = f"{self.reused} reused" if self.reused else ""
        running = f"{self.under_way} running" if self.under_way else ""
        return " · ".join(part for part in (f"{count} {unit}", tally, reused, running, self.phase) if part)

    def count(self) -> Count:
        outcomes = {**self.counts}
        return Count(self.spec, self.machine, self.total, self.done, self.reused, self.under_way, outcomes, self.phase)


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

    Args:
        clock: seconds that only grow.

    Attributes:
        announce: whether a kernel whose last cell ended is told in a message: where there are no live lines.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.announce = True
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._columns: dict[tuple[str, str], _Column] = {}
        self._tasks: list[_Task] = []
        self._messages: deque[str] = deque()
        self._pace = Pace(clock)

    # --- told by workers

    def expect(self, spec: str, cells: int = 1, *, machine: str = "") -> None:
        """Add cells to the total of a kernel and machine."""
        with self._lock:
            self._column(spec, machine).total += cells

    def phase(self, spec: str, text: str) -> None:
        """Say what is being done for a kernel; "" for nothing but its cells."""
        with self._lock:
            mine = [column for column in self._columns.values() if column.spec == spec]
            for column in mine or [self._column(spec)]:
                column.phase = text

    @contextmanager
    def running(self, spec: str, *, machine: str = "") -> Iterator[None]:
        """Count a cell as running while the context lasts."""
        with self._lock:
            self._column(spec, machine).running += 1
            cell = self._pace.begin()
        try:
            yield
        finally:
            with self._lock:
                self._column(spec, machine).running -= 1
                self._pace.end(cell)

    def ended(self, spec: str, outcome: str, *, machine: str = "", reused: bool = False) -> None:
        """Count a cell that ended; ``reused``: it was not run."""
        with self._lock:
            column = self._column(spec, machine)
            column.reused += reused
            column.counts[outcome] = column.counts.get(outcome, 0) + 1
            if column.done == column.total and self.announce:
                self._messages.append(f"{column.name}: {column.text()}")

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

    def _column(self, spec: str, machine: str = "") -> _Column:
        return self._columns.setdefault((spec, machine), _Column(spec, machine))

    # --- asked by whoever owns the terminal, or tells others

    def standing(self) -> Standing:
        """Return where the run stands."""
        with self._lock:
            return self._standing()

    def _standing(self) -> Standing:
        columns = self._columns.values()
        waiting = sum(max(0, c.total - c.done) for c in columns)
        unready = any(c.phase and c.done < c.total for c in columns)
        return Standing([c.count() for c in columns], self._pace.left(waiting, unready=unready))

    def lines(self) -> list[str]:
        """Return the live lines: kernels that are not done, the whole, then work under way; each is printable."""
        with self._lock:
            open_ = [c for c in self._columns.values() if c.done < c.total or c.phase]
            width = max((len(c.name) for c in self._columns.values()), default=0)
            columns = [f"{c.name:<{width}}  {c.text()}" for c in open_]
            whole = [_whole(self._standing())] if sum(c.total for c in self._columns.values()) > 1 and open_ else []
            return [printable(line) for line in columns + whole + [t.text() for t in self._tasks]]

    def messages(self) -> list[str]:
        """Return the lines that were noted since the last call; each is printable."""
        with self._lock:
            taken = [printable(message) for message in self._messages]
            self._messages.clear()
            return taken


def _whole(standing: Standing) -> str:
    """Return ``8 cells: 3 done, 2 reused, 2 running, 5 left · about 2 min``; what is reused is done, too."""
    total, done = standing.sum("total"), standing.sum("done")
    parts = [f"{done} done", *(f"{n} {name}" for name in ("reused", "running") if (n := standing.sum(name)))]
    parts.append(f"{max(0, total - done)} left")
    told = f"{total} cells: {', '.join(parts)}"
    return f"{told} · {standing.left}" if standing.left is not None else told
