"""A target's console, as a command prints it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from everykernel.errors import ToolMissing, UsageError
from everykernel.machine import console as console_
from everykernel.machine.ssh.console import Console


def wait(console: Console, size: int) -> None:
    deadline = time.monotonic() + 20
    while console.now < size and time.monotonic() < deadline:
        time.sleep(0.01)


def test_from_a_place_on() -> None:
    """What was printed before a cell began is not its own; what the command says on standard error is."""
    shown = Console("sh -c 'echo before; read x < /dev/null; echo after >&2; sleep 60'", "lab")
    wait(shown, 13)
    assert shown.since(0) == "before\nafter\n"
    assert shown.since(7) == "after\n"
    assert shown.since(shown.now) == ""
    shown.close()


def test_only_the_end_is_kept() -> None:
    """A console without end takes no memory without end; places in what is gone mean what is left."""
    size = 3 * console_.END
    shown = Console(f'{sys.executable} -c \'print("x" * {size}); print("last")\'', "lab")
    wait(shown, size + 6)
    assert shown.now == size + 6
    kept = shown.since(0)
    assert kept.endswith("x\nlast\n")
    assert len(kept) <= 2 * console_.END
    assert shown.since(size) == "\nlast\n"
    shown.close()


def test_no_command(tmp_path: Path) -> None:
    """What cannot be started, and what is no command, is said before anything is done on the target."""
    with pytest.raises(ToolMissing, match="lab: the console's command is not installed: no-such-program x"):
        Console("no-such-program x", "lab")
    with pytest.raises(UsageError, match="is no command"):
        Console("cat 'x", "lab")
    with pytest.raises(ToolMissing):
        Console("", "lab")


def test_it_ends_with_its_target() -> None:
    """Closing ends the command."""
    shown = Console("sleep 1000", "lab")
    shown.close()
    assert shown._process.poll() is not None
