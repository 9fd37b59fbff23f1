"""How much may run at once on this machine, over all processes: file locks in the cache.

A *slot* is a guest that works; there are as many as cores. A *boot slot* is a kernel that boots: as many again, for an
emulated machine that gets too little time as it boots may take its timers for broken.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Iterator

import filelock

from everykernel import cache

_PAUSE = 0.01  # seconds between two looks for a free slot


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def slot() -> Iterator[int]:
    """Hold one of the machine's slots while the block runs; waits for one. Yields its number."""
    with _one_of("slot", cores()) as number:
        yield number


@contextlib.contextmanager
def boot_slot() -> Iterator[int]:
    """Hold one of the machine's boot slots while the block runs; waits for one."""
    with _one_of("boot-slot", cores()) as number:
        yield number


@contextlib.contextmanager
def _one_of(name: str, count: int) -> Iterator[int]:
    locks = [cache.lock(f"{name}-{number}", timeout=0) for number in range(count)]
    while True:
        for number in random.sample(range(count), count):
            try:
                locks[number].acquire()
            except filelock.Timeout:
                continue
            try:
                yield number
            finally:
                locks[number].release()
            return
        time.sleep(_PAUSE)
