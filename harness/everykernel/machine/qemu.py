"""One QEMU with its control session, its channel and its console: launched, watched, ended."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from everykernel import wire
from everykernel.errors import CacheError, GuestError, GuestLost, HarnessError
from everykernel.machine import command, console, gate
from everykernel.machine.channel import Channel
from everykernel.machine.command import Place
from everykernel.machine.control import Control
from everykernel.machine.devices import Device
from everykernel.machine.line import Line
from everykernel.machine.process import REMEDY, Process
from everykernel.machine.scratch import run_folder

_SIGBUS = -7
_numbers = itertools.count()


class Herd:
    """QEMUs that are ended together, whatever other threads do with them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: set[Qemu] = set()
        self.closed = False

    def check(self, where: str) -> None:
        """Raise GuestLost if the herd was ended."""
        if self.closed:
            raise GuestLost("no guest is started any more: the machines were closed", where=where)

    def add(self, qemu: Qemu) -> None:
        """Take one more; raise GuestLost if the herd was ended."""
        with self._lock:
            self.check(qemu.where)
            self._live.add(qemu)

    def drop(self, qemu: Qemu) -> None:
        """Forget one that has ended."""
        with self._lock:
            self._live.discard(qemu)

    def close(self) -> None:
        """End all of them, also those that another thread waits for, and let no other begin."""
        with self._lock:
            self.closed = True
            live = list(self._live)
        for qemu in live:
            qemu.kill()


_everything = Herd()  # of this process
atexit.register(_everything.close)


class Qemu(Line):
    """A running QEMU.

    Args:
        program: the emulator.
        build: gives its devices for the paths and descriptors of this run.
        where: what errors name: the kernel's spec.
        herd: with which others it is ended.
    """

    def __init__(
        self, program: Path, build: Callable[[Place], list[Device]], where: str, herd: Herd | None = None
    ) -> None:
        self.where = where
        self._herds = [_everything, *([herd] if herd else [])]
        for each in self._herds:
            each.check(where)
        self._closed = False
        stem = run_folder() / str(next(_numbers))
        self._console = stem.with_suffix(".console")
        self._errors = stem.with_suffix(".stderr")
        self._last_words: str | None = None
        control, their_control = socket.socketpair()
        channel, their_channel = socket.socketpair()
        self._state, their_state = socket.socketpair()
        theirs = (their_control, their_channel, their_state)
        self._state_descriptor = their_state.fileno()
        place = Place(console=self._console, channel=their_channel.fileno(), control=their_control.fileno())
        self.channel = Channel(channel)
        self.control = Control(control, where)
        try:
            descriptors = [end.fileno() for end in theirs]
            self._process = Process(program, command.arguments(build(place)), descriptors, self._errors, console.LIMIT)
            self._join()
        except BaseException:
            self.channel.close()
            self.control.close()
            self._state.close()
            raise
        finally:
            for end in theirs:
                end.close()

    def _join(self) -> None:
        try:
            for herd in self._herds:
                herd.add(self)
        except GuestLost:
            self._process.kill()
            for herd in self._herds:
                herd.drop(self)
            raise

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        return self._process.pid

    def connect(self) -> None:
        """Wait until QEMU is up; raise HarnessError if it ended instead, with what it said."""
        try:
            self.control.connect()
        except GuestLost as e:
            if self._process.ended(2.0) is None:
                raise
            said = self._process.complaints() or f"exit code {self._process.ended()}"
            raise HarnessError(f"QEMU does not start: {said}", where=self.where, remedy=REMEDY) from e

    def restore(self, state: bytes) -> None:
        """Load a saved state; the guest stays paused."""
        self.control.restore(state, self._state, self._state_descriptor)

    def receive_stage0(self, deadline: float) -> gate.Stage0:
        """Return what the stage-0 agent says of itself; raises as `receive` does."""
        return self.heard(lambda: gate.stage0(self.channel.receive(deadline, wire.TEXT_LIMIT, 0)[0]))

    def interrogate(self, patience: float = 1.0) -> None:
        """Have a hung kernel print where it is: an NMI reaches even a CPU that has interrupts off, and panics it."""
        with contextlib.suppress(GuestLost):
            self.control.execute("inject-nmi")
            self._process.ended(patience)

    def death(self) -> GuestError | HarnessError:
        """Return the error that says how this guest, whose channel closed, ended."""
        code = self._process.ended(2.0)
        if code is None:
            self._process.kill()
        text = self.console()
        found = console.death(text, self.where)
        if found is not None:
            return found
        said = self._process.complaints()
        if code == _SIGBUS:
            return CacheError("QEMU could not write the guest's memory: no space left on the disk?", where=self.where)
        if lost := self.flooded():
            return lost
        how = (
            "closed the channel"
            if code is None
            else f"was killed by signal {-code}"
            if code < 0
            else f"ended with code {code}"
        )
        message = f"QEMU {how}, and the kernel did not say why" + (
            f": {console.one_line(said.splitlines()[-1])}" if said else ""
        )
        return GuestLost(message, console=console.tail(text), where=self.where, remedy="run it again")

    def console(self) -> str:
        """Return the console so far."""
        if self._last_words is not None:
            return self._last_words
        return console.read(self._console)

    def flooded(self) -> GuestLost | None:
        """Return the error of a guest whose console is full: what it printed after that, nobody knows."""
        if not console.full(self._console):
            return None
        message = f"it printed more than {console.LIMIT >> 10} KiB on its console"
        return GuestLost(message, console=console.tail(self.console()), where=self.where)

    def complaints(self) -> str:
        """Return what QEMU said on standard error."""
        return self._process.complaints()

    def kill(self) -> None:
        """End QEMU at once; whoever waits for it finds that out. `close` is still to be called."""
        self._process.kill()

    def close(self) -> None:
        """End QEMU at once; the console can still be read."""
        if self._closed:
            return
        self._closed = True
        self._process.kill()
        self._last_words = self.console()
        self.control.close()
        self.channel.close()
        self._state.close()
        for path in (self._console, self._errors):
            path.unlink(missing_ok=True)
        for herd in self._herds:
            herd.drop(self)
