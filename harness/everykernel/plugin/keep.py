"""``--kernel-keep``: a shell in the guest of a failure, before it is thrown away."""

from __future__ import annotations

import queue
import threading

from everykernel.cli.prompt import prompt
from everykernel.errors import GuestError
from everykernel.machine import Guest
from everykernel.matrix.records import CellReport
from everykernel.plugin.live import Painter


class Keeper:
    """Holds guests of cells that failed, in the threads that ran them, until the main thread has offered a shell.

    Args:
        painter: what owns the terminal.
    """

    def __init__(self, painter: Painter) -> None:
        self._painter = painter
        self._kept: queue.Queue[tuple[Guest, CellReport, threading.Event]] = queue.Queue()

    def keep(self, guest: Guest, report: CellReport) -> None:
        """Hold a guest; returns when its shell has ended. Called by the thread that ran the cell."""
        done = threading.Event()
        self._kept.put((guest, report, done))
        done.wait()

    def offer(self) -> None:
        """Open a shell in each guest that is held. Called by the main thread, now and then."""
        while not self._kept.empty():
            guest, report, done = self._kept.get()
            try:
                self.shell(guest, f"{report['result'].get('code')}: {report['result'].get('message')}")
            finally:
                done.set()

    def shell(self, guest: Guest, why: str) -> None:
        """Open a shell in a guest, with the terminal for itself."""
        try:
            self._painter.suspended(lambda: prompt(guest, f"{guest.kernel.spec}: {why}"))
        except GuestError as e:
            self._painter.board.note(f"no shell: {e}")
