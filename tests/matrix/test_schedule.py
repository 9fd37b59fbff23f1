"""The schedule: as many cells at once as there are slots, each once its kernel is ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NoReturn

import pytest

from everykernel.matrix.schedule import Schedule


def ready() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future


def fail(error: Exception) -> NoReturn:
    raise error


def test_what_goes_wrong_around_a_cell_is_its_result() -> None:
    """A slot that cannot be had, or a defect, loses no cell: what rescues it makes its result."""

    def slot() -> AbstractContextManager[object]:
        raise OSError("no slot")

    schedule = Schedule(1, slot)
    assert str(schedule.cell(ready(), lambda: None, lambda e: e).result(5)) == "no slot"
    schedule.close()


def test_slots_limit_what_runs() -> None:
    """Never more cells at once than slots, however many are scheduled."""
    free, most, running = threading.Semaphore(2), 0, 0
    lock = threading.Lock()

    @contextmanager
    def slot() -> Iterator[None]:
        with free:
            yield

    def cell() -> int:
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return 1

    schedule = Schedule(4, slot)
    assert sum(f.result() for f in [schedule.cell(ready(), cell, fail) for _ in range(12)]) == 12
    schedule.close()
    assert most == 2


def test_a_slow_kernel_holds_nobody_up() -> None:
    """Cells of a kernel that is ready run while another one still boots; what it raises is its cells' to tell."""
    schedule = Schedule(1, nullcontext)
    go = threading.Event()
    slow = schedule.make(lambda: go.wait(5))
    waiting = schedule.cell(slow, lambda: "slow", fail)
    assert schedule.cell(ready(), lambda: "quick", fail).result(5) == "quick"
    assert not waiting.done()
    go.set()
    assert waiting.result(5) == "slow"
    broken = schedule.make(lambda: 1 // 0)
    assert isinstance(schedule.cell(broken, broken.exception, fail).result(5), ZeroDivisionError)
    schedule.close()


def test_close_cancels_what_has_not_begun() -> None:
    """After close, whoever waits for a cell that never began is told."""
    schedule = Schedule(1, nullcontext)
    begun, go = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go.wait(5)

    running = schedule.cell(ready(), first, fail)
    begun.wait(5)
    second = schedule.cell(ready(), lambda: None, fail)
    never = schedule.cell(Future(), lambda: None, fail)
    schedule.cancel()
    go.set()
    schedule.close()
    assert running.done()
    for future in (second, never):
        with pytest.raises(CancelledError):
            future.result(5)
