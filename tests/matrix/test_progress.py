"""The board: what a run shows while it works."""

from __future__ import annotations

from concurrent.futures import CancelledError

import pytest

from everykernel.matrix.progress import Board


def test_lines_and_messages() -> None:
    """A line for each kernel that is not done, one for each download; the last cell of a kernel is told once."""
    board = Board()
    board.expect("6.1", 2)
    board.expect("5.10")
    board.phase("5.10", "fetching")
    board.ended("6.1", "failed")
    with board.task("linux-image", 2_000_000) as task:
        task.advance(500_000)
        assert board.lines() == [
            "6.1   1/2 cells · 1 failed",
            "5.10  0/1 cell · fetching",
            "linux-image  25 % of 2.0 MB",
        ]
    board.ended("6.1", "passed")
    board.note("a note")
    assert board.messages() == ["6.1: 2/2 cells · 1 passed, 1 failed", "a note"]
    assert board.messages() == []
    assert board.lines() == ["5.10  0/1 cell · fetching"]


def test_cancelled_downloads_end() -> None:
    """When the run is over, the next chunk of a download ends it."""
    board = Board()
    with board.task("linux-image", None) as task:
        task.advance(1)
        board.cancel()
        with pytest.raises(CancelledError):
            task.advance(1)
