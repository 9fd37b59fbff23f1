"""The board: what a run shows while it works, and what it says of the time left."""

from __future__ import annotations

from concurrent.futures import CancelledError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everykernel.matrix.pace import ENOUGH, Left, Pace
from everykernel.matrix.progress import Board


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_and_messages() -> None:
    """A line for each kernel that is not done, for all, for each download; a kernel's last cell is told once."""
    board = Board()
    board.expect("6.1", 2)
    board.expect("5.10")
    board.phase("5.10", "fetching")
    board.ended("6.1", "failed")
    with board.task("linux-image", 2_000_000) as task, board.running("6.1"):
        task.advance(500_000)
        assert board.lines() == [
            "6.1   1/2 cells · 1 failed · 1 running",
            "5.10  0/1 cell · fetching",
            "3 cells: 1 done, 1 running, 2 left",
            "linux-image  25 % of 2.0 MB",
        ]
    board.ended("6.1", "passed", reused=True)
    board.note("a note")
    assert board.messages() == ["6.1: 2/2 cells · 1 passed, 1 failed · 1 reused", "a note"]
    assert board.messages() == []
    assert board.lines() == ["5.10  0/1 cell · fetching", "3 cells: 2 done, 1 reused, 1 left"]


def test_machines_of_a_kernel_are_told_apart() -> None:
    """Each that was asked for has its own line; what is done for the kernel stands in all of them."""
    board = Board()
    board.expect("6.1", 2)
    board.expect("6.1", machine="cpus 4")
    board.phase("6.1", "making ready")
    board.ended("6.1", "passed", machine="cpus 4")
    assert board.lines()[:2] == [
        "6.1           0/2 cells · making ready",
        "6.1 (cpus 4)  1/1 cell · 1 passed · making ready",
    ]
    standing = board.standing()
    assert [(one.kernel, one.machine, one.total, one.done) for one in standing.counts] == [
        ("6.1", "", 2, 0),
        ("6.1", "cpus 4", 1, 1),
    ]


def test_cancelled_downloads_end() -> None:
    """When the run is over, the next chunk of a download ends it."""
    board = Board()
    with board.task("linux-image", None) as task:
        task.advance(1)
        board.cancel()
        with pytest.raises(CancelledError):
            task.advance(1)


def run(clock: Clock, board: Board, seconds: float) -> None:
    with board.running("6.1"):
        clock.now += seconds
    board.ended("6.1", "passed")


def test_nothing_is_said_before_cells_have_ended() -> None:
    """Reused cells tell nothing of those that run."""
    clock = Clock()
    board = Board(clock)
    board.expect("6.1", 100)
    for _ in range(20):
        board.ended("6.1", "passed", reused=True)
    for _ in range(ENOUGH - 1):
        run(clock, board, 2.0)
    assert board.standing().left is None
    run(clock, board, 2.0)
    assert str(board.standing().left) == "about 3 min"
    board.phase("6.1", "making ready")
    assert str(board.standing().left) == "at least 3 min"


def test_time_without_cells_does_not_count() -> None:
    """Kernels that boot for minutes before the first cell, or between two, make no cell slower."""
    clock = Clock()
    board = Board(clock)
    board.expect("6.1", 14)
    clock.now += 300
    for _ in range(ENOUGH):
        run(clock, board, 1.0)
        clock.now += 60
    assert board.standing().left == Left(10.0, 10.0)


def test_cells_at_once_count_as_such() -> None:
    """Two at a time take half as long."""
    clock = Clock()
    pace = Pace(clock)
    for _ in range(ENOUGH):
        cells = [pace.begin(), pace.begin()]
        clock.now += 4
        for cell in cells:
            pace.end(cell)
    assert pace.left(10, unready=False) == Left(20.0, 20.0)


def test_cells_that_differ_widen_the_range() -> None:
    """What is not known is not told as if it were."""
    clock = Clock()
    pace = Pace(clock)
    for seconds in (1, 1, 1, 9):
        cell = pace.begin()
        clock.now += seconds
        pace.end(cell)
    left = pace.left(20, unready=False)
    assert left is not None
    assert left.low < 20 * 3 < left.high
    assert " to " in str(left)


@given(st.lists(st.floats(0, 1e4), min_size=ENOUGH, max_size=30), st.integers(1, 10_000), st.floats(0, 1e4))
def test_a_range_is_one(times: list[float], cells: int, under_way: float) -> None:
    """However cells went: never negative, never upside down, and the mean's own guess is in it when none runs."""
    clock = Clock()
    pace = Pace(clock)
    for seconds in times:
        cell = pace.begin()
        clock.now += seconds
        pace.end(cell)
    left = pace.left(cells, unready=False)
    assert left is not None
    guess = cells * sum(times) / len(times)
    assert 0 <= left.low <= left.high
    assert left.low * 0.999 - 1e-6 <= guess <= left.high * 1.001 + 1e-6
    pace.begin()
    clock.now += under_way
    left = pace.left(cells, unready=True)
    assert left is not None
    assert 0 <= left.low <= left.high
    assert str(left).startswith("at least ")
