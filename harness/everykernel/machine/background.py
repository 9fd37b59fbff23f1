"""One thread that lives as long as the process: it spawns every QEMU and talks QMP with them.

A child's PR_SET_PDEATHSIG fires when the *thread* that spawned it ends (prctl(2)), so no pool thread may spawn one; and
QEMU's client library is written for one asyncio loop. One daemon thread serves both.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """The thread and its loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="everykernel-machine", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine in the thread and return what it returns; TimeoutError after ``timeout`` seconds."""
        future = asyncio.run_coroutine_threadsafe(_within(work, timeout), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in the thread and return what it returns."""

        async def work() -> T:
            return function()

        return self.run(work())

    def stop(self) -> None:
        """End the thread; for the process's end."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(2)
        if not self._loop.is_running():
            self._loop.close()


async def _within(work: Awaitable[T], timeout: float | None) -> T:
    return await asyncio.wait_for(work, timeout)


_lock = threading.Lock()
_background: Background | None = None


def background() -> Background:
    """Return the process's one background thread, started when it is first needed."""
    global _background
    with _lock:
        if _background is None:
            _background = Background()
            atexit.register(_background.stop)
        return _background


def _forget() -> None:
    """In a forked child: the thread is the parent's."""
    global _background, _lock
    if _background is not None:
        atexit.unregister(_background.stop)
    _background, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)
