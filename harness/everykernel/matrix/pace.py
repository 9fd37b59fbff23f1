"""How long a run will still take, as far as the cells that have ended tell: a range, and nothing before they do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

ENOUGH = 4  # cells that have to have ended before anything is said
_CLOSE = 1.25  # what the longer end may be of the shorter one, to be told as one number
_SIGMAS = 2.0  # to either side: 19 of 20 runs, were the cells' times independent


class Left(NamedTuple):
    """Seconds that are left.

    Attributes:
        low, high: between these, as the times of the cells so far differ.
        more: whether something comes besides of which nothing is known: kernels that are being made ready.
    """

    low: float
    high: float
    more: bool = False

    def __str__(self) -> str:
        low, high = _words(self.low), _words(self.high)
        if low == high or self.high < _CLOSE * self.low:
            middle = _words((self.low + self.high) / 2)
            return f"at least {middle}" if self.more else f"about {middle}"
        return f"at least {low}" if self.more else f"{low} to {high}"


class Pace:
    """Measures cells. Its caller sees to it that one thread at a time calls it.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begun: dict[int, float] = {}
        self._number = 0
        self._busy = 0.0  # seconds in which any cell ran
        self._since = 0.0  # when the first of those that run now began
        self._count, self._mean, self._squares = 0, 0.0, 0.0  # of ended cells' seconds (Welford 1962)

    def begin(self) -> int:
        """Return the number of a cell that begins."""
        now = self._clock()
        if not self._begun:
            self._since = now
        self._number += 1
        self._begun[self._number] = now
        return self._number

    def end(self, number: int) -> None:
        """Take in how long a cell took."""
        now = self._clock()
        seconds = now - self._begun.pop(number)
        if not self._begun:
            self._busy += now - self._since
        self._count += 1
        before = self._mean
        self._mean += (seconds - before) / self._count
        self._squares += (seconds - before) * (seconds - self._mean)

    def left(self, cells: int, *, unready: bool) -> Left | None:
        """Return how long so many more cells take, as many at once as so far; None where too few have ended.

        The mean of the cells that ended is off by its own error, and the sum of those to come scatters: both widen the
        range. What the cells that run now have done already counts.
        """
        if self._count < ENOUGH or not cells:
            return None
        now = self._clock()
        busy = self._busy + (now - self._since if self._begun else 0.0)
        done = sum(now - began for began in self._begun.values())
        at_once = max(1.0, (self._mean * self._count + done) / busy) if busy else 1.0
        variance = self._squares / (self._count - 1)
        spread = _SIGMAS * math.sqrt(cells * variance + cells * cells * variance / self._count)
        whole = cells * self._mean - min(done, len(self._begun) * self._mean)
        low, high = max(0.0, whole - spread) / at_once, max(0.0, whole + spread) / at_once
        return Left(low, high, unready)


def _words(seconds: float) -> str:
    """Return a time as a person says it: 5 s, 50 s, 4 min, 2 h 10 min."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 90:
        return f"{round(seconds / 10) * 10} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
