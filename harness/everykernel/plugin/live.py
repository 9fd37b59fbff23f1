"""The terminal while guests work: live lines below pytest's own on a terminal, plain lines elsewhere.

Only the main thread paints, and only while it waits for a guest, so pytest's own output is never torn: the live lines
are erased, and the cursor is back where pytest left it, before the wait ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from typing import TypeVar

import pytest

from everykernel.matrix.progress import Board

T = TypeVar("T")

_INTERVAL = 0.1  # seconds between paints
_PATIENCE = 0.3  # seconds of waiting before live lines appear


class Painter:
    """Paints a board while the main thread waits.

    Args:
        config: of a pytest process that owns a terminal reporter; a worker of pytest-xdist
            owns none and paints nothing.
        board: what to paint.
    """

    def __init__(self, config: pytest.Config, board: Board) -> None:
        self.board = board
        self._reporter = config.pluginmanager.getplugin("terminalreporter")
        self._capture = config.pluginmanager.getplugin("capturemanager")
        self._painted: list[str] = []
        self.board.announce = self._reporter is None or not self._reporter.isatty

    def wait(self, future: Future[T], meanwhile: Callable[[], None] | None = None) -> T:
        """Return a future's result, painting the board until it is there; ``meanwhile`` is called now and then."""
        began = time.monotonic()
        try:
            while True:
                try:
                    return future.result(timeout=_INTERVAL)
                except TimeoutError:
                    if future.done():
                        raise
                if meanwhile is not None:
                    meanwhile()
                self._uncaptured(lambda: self._paint(time.monotonic() - began > _PATIENCE))
        finally:
            self.flush()

    def flush(self) -> None:
        """Take the live lines away and print what was noted."""
        self._uncaptured(lambda: self._paint(False))

    def suspended(self, action: Callable[[], T]) -> T:
        """Run what needs the terminal for itself, with capturing off."""
        self.flush()
        self._uncaptured(self._new_line)
        if self._capture is None:
            return action()
        with self._capture.global_and_fixture_disabled():
            self._capture.suspend_global_capture(in_=True)
            try:
                return action()
            finally:
                self._capture.resume_global_capture()

    def _new_line(self) -> None:
        """End pytest's own line, if one is begun."""
        self._reporter.ensure_newline()
        if self._reporter._tw.width_of_current_line:
            self._reporter.write_line("")

    def _uncaptured(self, action: Callable[[], None]) -> None:
        if self._reporter is None:
            self.board.messages()
        elif self._capture is None:
            action()
        else:
            with self._capture.global_and_fixture_disabled():
                action()

    def _paint(self, live: bool) -> None:
        messages = self.board.messages()
        if messages:
            self._erase()
            self._new_line()
            for message in messages:
                self._reporter.write_line(f"everykernel: {message}")
        lines = self.board.lines() if live and self._reporter.isatty else []
        if lines != self._painted:
            self._below(lines + [""] * (len(self._painted) - len(lines)))
            self._painted = lines

    def _erase(self) -> None:
        if self._painted:
            self._below([""] * len(self._painted))
            self._painted = []

    def _below(self, lines: list[str]) -> None:
        """Write lines below the cursor's, and put the cursor back (ECMA-48: EL, CUU, CUF)."""
        writer = self._reporter._tw
        width, column = writer.fullwidth, writer.width_of_current_line
        text = "".join(f"\r\n\x1b[K{line[: width - 1]}" for line in lines) + f"\x1b[{len(lines)}A\r"
        writer._file.write(text + (f"\x1b[{column}C" if column else ""))
        writer._file.flush()
