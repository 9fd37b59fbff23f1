"""Timers that a saved machine forgot: each CPU is made to set its own anew.

A CPU's timer interrupts come from what its kernel told it last. Where a saved state does not hold that, a restored CPU
waits for an interrupt that never comes, and its kernel, which takes it for set, sets it no more. A kernel sets the
timers of all CPUs when the wall clock jumps past a timer of each (Linux kernel/time/hrtimer.c, clock_was_set): so every
CPU gets one before the machine is saved, and the clock jumps once it is restored.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DUE = 1800  # seconds from arming: no machine takes as long to be saved
JUMP = 2 * DUE
ABSOLUTE = 1  # TFD_TIMER_ABSTIME
_libc = ctypes.CDLL(None, use_errno=True)


def arm() -> None:
    """Give each CPU a timer of the wall clock; they stay until this process ends."""
    due = int(time.time()) + DUE
    for _ in _each_cpu():
        _timer(due)


def jump() -> None:
    """Have the wall clock pass all of those timers, from each CPU: the one that sets it is left out by the kernel.

    The caller sets it right afterwards.
    """
    for _ in _each_cpu():
        time.clock_settime(time.CLOCK_REALTIME, time.time() + JUMP)


def _each_cpu() -> Iterator[int]:
    """Yield CPUs, with this thread on each of them in turn."""
    allowed = os.sched_getaffinity(0)
    try:
        for cpu in sorted(allowed):
            os.sched_setaffinity(0, {cpu})
            yield cpu
    finally:
        os.sched_setaffinity(0, allowed)


def _timer(due: int) -> None:
    fd = _libc.timerfd_create(time.CLOCK_REALTIME, 0)
    value = struct.pack("=4q" if struct.calcsize("l") == 8 else "=4i", 0, 0, due, 0)  # struct itimerspec
    if fd < 0 or _libc.timerfd_settime(fd, ABSOLUTE, value, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
