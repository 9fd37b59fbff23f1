"""How a QEMU ended is told from what it left: exit code, signal, errors, the kernel's console. A shell stands in."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from everykernel import wire
from everykernel.errors import CacheError, EverykernelError, GuestLost, KernelPanic
from everykernel.machine import console
from everykernel.machine.command import Place
from everykernel.machine.devices import Device
from everykernel.machine.qemu import Herd, Qemu

ASKED = {1: wire.Ping()}
SH = Path(shutil.which("sh") or "")


class Script:
    """A device that makes the stand-in run a script; ``CONSOLE`` is the console's file."""

    def __init__(self, script: str) -> None:
        self.script = script

    def qemu(self) -> list[str]:
        return ["-c", self.script]

    def kernel(self) -> list[str]:
        return []


def start(script: str, herd: Herd | None = None) -> Qemu:
    def devices(place: Place) -> list[Device]:
        return [Script(script.replace("CONSOLE", str(place.console)))]

    return Qemu(SH, devices, "6.1", herd)


def ending(script: str) -> EverykernelError:
    qemu = start(script)
    try:
        with pytest.raises(EverykernelError) as caught:
            qemu.receive(time.monotonic() + 10, ASKED)
        return caught.value
    finally:
        qemu.close()


def test_it_said_why() -> None:
    """What QEMU said on standard error is in the error, and the console's last lines."""
    error = ending("echo last words > CONSOLE; echo qemu: no >&2; exit 1")
    assert isinstance(error, GuestLost)
    assert str(error) == "6.1: QEMU ended with code 1, and the kernel did not say why: qemu: no [run it again]"
    assert error.console == "last words"


def test_it_was_killed() -> None:
    """A signal is named."""
    assert (
        str(ending("kill -9 $$")) == "6.1: QEMU was killed by signal 9, and the kernel did not say why [run it again]"
    )


def test_the_disk_was_full() -> None:
    """Memory that cannot be written to its file is a SIGBUS: a fault of the cache, not of the kernel."""
    error = ending("kill -BUS $$")
    assert isinstance(error, CacheError)
    assert str(error) == "6.1: QEMU could not write the guest's memory: no space left on the disk?"


def test_the_kernel_said_why() -> None:
    """A panic in the console is the cause, however QEMU ended."""
    assert isinstance(ending("echo 'Kernel panic - not syncing: x' > CONSOLE; exit 0"), KernelPanic)


@pytest.fixture
def herd() -> Iterator[Herd]:
    herd = Herd()
    yield herd
    herd.close()


def test_a_herd_is_ended_together(herd: Herd) -> None:
    """All of a herd end with it, others do not, and nobody joins it after."""
    inside, outside = start("exec sleep 60", herd), start("exec sleep 60")
    herd.close()
    with pytest.raises(GuestLost):
        inside.receive(time.monotonic() + 10, ASKED)
    with pytest.raises(GuestLost, match=r"6.1: no guest is started any more: the machines were closed"):
        start("exec sleep 60", herd)
    assert outside._process.ended() is None
    for qemu in (inside, outside):
        qemu.close()
    assert outside._process.ended() == -9


def test_closing_twice() -> None:
    """A second close does nothing; the console is still there."""
    qemu = start("echo hello > CONSOLE; sleep 60")
    while not qemu.console():
        time.sleep(0.01)
    qemu.close()
    qemu.close()
    assert qemu.console() == "hello\n"


def test_a_console_has_an_end() -> None:
    """A guest that prints without end fills no disk, and is lost for that."""
    qemu = start("while :; do echo 'the same line again, and again, and again'; done > CONSOLE")
    try:
        with pytest.raises(GuestLost) as caught:
            qemu.receive(time.monotonic() + 60, ASKED)
        assert str(caught.value) == "6.1: it printed more than 2048 KiB on its console"
        assert len(caught.value.console.splitlines()) == 60
        assert qemu._console.stat().st_size == console.LIMIT
    finally:
        qemu.close()
