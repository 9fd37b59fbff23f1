"""The schedule: cells run as many at once as the machine has slots, each as soon as its kernel is ready.

Making kernels ready (fetching, booting, taking snapshots) has threads of its own, so that the cells of a kernel that is
ready do not wait for one that still boots. Each request of a cell has its own deadline, so a cell always ends.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

T = TypeVar("T")

_ELSEWHERE = 32  # cells at once on other machines
_MAKERS = 8  # kernels that may be fetched at once; boots are limited by the machine itself


class Schedule:
    """Runs work in threads. `close` it: what has not begun is cancelled then.

    Args:
        width: cells at once in this process.
        slot: gives the context in which a cell runs: a slot shared by all processes of the machine.
    """

    def __init__(self, width: int, slot: Callable[[], AbstractContextManager[object]]) -> None:
        self._slot = slot
        self._cells = ThreadPoolExecutor(width, "everykernel-cell")
        self._elsewhere = ThreadPoolExecutor(_ELSEWHERE, "everykernel-elsewhere")
        self._makers = ThreadPoolExecutor(_MAKERS, "everykernel-kernel")
        self._waiting: weakref.WeakSet[Future[Any]] = weakref.WeakSet()

    def make(self, action: Callable[[], T]) -> Future[T]:
        """Run what makes a kernel ready."""
        return self._makers.submit(action)

    def cell(
        self, ready: Future[Any], action: Callable[[], T], rescue: Callable[[Exception], T], *, elsewhere: bool = False
    ) -> Future[T]:
        """Run a cell once ``ready`` has ended, however that ended, and a slot is free.

        One that runs ``elsewhere`` takes none of this machine's. ``rescue`` makes the cell's result of what went wrong
        around it; only a cell that was cancelled has none.
        """
        cell: Future[T] = Future()
        self._waiting.add(cell)

        def work() -> None:
            if not cell.set_running_or_notify_cancel():
                return
            try:
                cell.set_result(self._run(action, rescue, nullcontext if elsewhere else self._slot))
            except BaseException as e:
                cell.set_exception(e)

        def begin(_: Future[Any]) -> None:
            try:
                (self._elsewhere if elsewhere else self._cells).submit(work)
            except RuntimeError:  # closed meanwhile
                cell.cancel()

        ready.add_done_callback(begin)
        return cell

    def sooner(self, ready: Future[Any], look: Callable[[], T | None], run: Callable[[], Future[T]]) -> Future[T]:
        """Return what ``look`` finds once ``ready`` has ended, however that ended; what ``run`` does if it is nothing.

        Looking takes no slot: no guest is started for it.
        """
        found: Future[T] = Future()
        self._waiting.add(found)

        def end(of: Future[T]) -> None:
            if of.cancelled():
                found.cancel()
            elif found.set_running_or_notify_cancel():
                _copy(of, found)

        def try_it() -> None:
            looked: Future[T] = Future()
            try:
                there = look() if ready.exception() is None else None
                if there is None:
                    run().add_done_callback(end)
                    return
                looked.set_result(there)
            except CancelledError:
                looked.cancel()
            except BaseException as e:
                looked.set_exception(e)
            end(looked)

        def begin(_: Future[Any]) -> None:
            try:
                self._makers.submit(try_it)
            except RuntimeError:  # closed meanwhile
                found.cancel()

        ready.add_done_callback(begin)
        return found

    def _run(
        self,
        action: Callable[[], T],
        rescue: Callable[[Exception], T],
        slot: Callable[[], AbstractContextManager[object]],
    ) -> T:
        try:
            with slot():
                return action()
        except CancelledError:
            raise
        except Exception as e:
            return rescue(e)

    def cancel(self) -> None:
        """Cancel what has not begun."""
        for cell in list(self._waiting):
            cell.cancel()
        self._makers.shutdown(wait=False, cancel_futures=True)
        self._cells.shutdown(wait=False, cancel_futures=True)
        self._elsewhere.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Cancel what has not begun, and wait for what has."""
        self.cancel()
        self._makers.shutdown(wait=True, cancel_futures=True)
        self._cells.shutdown(wait=True, cancel_futures=True)
        self._elsewhere.shutdown(wait=True, cancel_futures=True)


def _copy(of: Future[T], to: Future[T]) -> None:
    """Give a future the result or the exception of one that is done."""
    if (error := of.exception()) is not None:
        to.set_exception(error)
    else:
        to.set_result(of.result())
