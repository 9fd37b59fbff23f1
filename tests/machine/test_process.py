"""A process that we start never outlives us, and a program that is not there is an error with its remedy."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from everykernel.errors import HarnessError, ToolMissing
from everykernel.machine.background import background
from everykernel.machine.process import Process, find
from everykernel.machine.qemu import Qemu

SH = Path(shutil.which("sh") or "")


def test_a_missing_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names it, and what to do."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolMissing) as caught:
        find("qemu-system-x86_64")
    assert str(caught.value) == "qemu-system-x86_64: not installed [run `everykernel doctor`]"


def test_how_it_ended(tmp_path: Path) -> None:
    """Exit codes, signals and what it said are kept."""
    process = Process(SH, ["-c", "echo sorry >&2; exit 3"], [], tmp_path / "errors", 1 << 20)
    assert process.ended(5) == 3
    assert process.complaints() == "sorry"
    process = Process(SH, ["-c", "kill -9 $$"], [], tmp_path / "errors", 1 << 20)
    assert process.ended(5) == -signal.SIGKILL


def test_it_has_a_session_of_its_own(tmp_path: Path) -> None:
    """A terminal's Ctrl-C does not reach it before it reaches us."""
    process = Process(SH, ["-c", "sleep 60"], [], tmp_path / "errors", 1 << 20)
    try:
        assert os.getsid(process.pid) == process.pid != os.getsid(0)
    finally:
        process.kill()
    assert process.ended() == -signal.SIGKILL


def test_it_inherits_what_it_is_given(tmp_path: Path) -> None:
    """Only the descriptors that were named reach it."""
    ours, theirs = os.pipe()
    process = Process(SH, ["-c", f"echo hello > /proc/self/fd/{theirs}"], [theirs], tmp_path / "errors", 1 << 20)
    os.close(theirs)
    assert os.read(ours, 100) == b"hello\n"
    assert os.read(ours, 100) == b""
    os.close(ours)
    assert process.ended(5) == 0


def test_an_emulator_that_does_not_start() -> None:
    """What it said is in the error, not a lost guest."""
    qemu = Qemu(SH, lambda place: [_Words()], "6.1")
    with pytest.raises(HarnessError, match=r"6\.1: QEMU does not start: .*-machine"):
        qemu.connect()
    qemu.close()


class _Words:
    def qemu(self) -> list[str]:
        return ["-c", "echo -machine: no such board >&2; exit 1"]

    def kernel(self) -> list[str]:
        return []


def test_the_background_thread_is_not_inherited_by_a_fork() -> None:
    """A forked child gets a thread of its own when it needs one."""
    assert background().call(lambda: 41) == 41
    ours, theirs = os.pipe()
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: fork in a process with threads
        child = os.fork()
    if child == 0:
        os.write(theirs, b"%d" % background().call(lambda: 42))
        os._exit(0)
    os.close(theirs)
    assert os.read(ours, 100) == b"42"
    os.close(ours)
    os.waitpid(child, 0)
