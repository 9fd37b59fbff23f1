"""A guest in use, at the other end of a line: requests with deadlines, and what became of it told apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from everykernel import wire
from everykernel.errors import CaseTimeout, EverykernelError, GuestLost, KernelHung, RequestFailed
from everykernel.kernels.model import Kernel
from everykernel.machine import console
from everykernel.machine.channel import DeadlinePassed
from everykernel.machine.guest import Guest
from everykernel.machine.line import Line, draw
from everykernel.machine.qemu import Qemu
from everykernel.machine.spec import MachineSpec
from everykernel.remote.agent import FarAgent

PING_PATIENCE = 5.0  # seconds for a ping's answer after a deadline has passed
_LOOK = 1.0  # seconds between two looks at the console of a guest whose answer is waited for


@dataclass(frozen=True)
class Begun:
    """A guest whose agent has answered its first message."""

    line: Line
    facts: wire.Facts
    kind: str
    notes: list[str]
    agent: FarAgent | None = None  # of a guest that has none itself


class AgentGuest(Guest):
    """A guest whose agent is at the other end of a line.

    Args:
        begin: restores (or boots) it, and returns when its agent has answered; called once, at the first use.
        abandon: ends what `begin` would have taken up, for a guest that is closed unused.
        timeout: seconds for a request that names no time of its own.
    """

    def __init__(
        self,
        kernel: Kernel,
        spec: MachineSpec,
        *,
        begin: Callable[[], Begun],
        abandon: Callable[[], None],
        timeout: float,
    ) -> None:
        self.kernel = kernel
        self.spec = spec
        self._begin = begin
        self._abandon = abandon
        self._timeout = timeout
        self._begun: Begun | None = None
        self._lock = threading.RLock()
        self._asked: dict[int, wire.Request[Any]] = {}  # without an answer so far
        self._end: EverykernelError | None = None

    def wake(self) -> Begun:
        """Restore the guest if that has not happened, and return how it began."""
        with self._lock:
            if self._end is not None and self._begun is None:
                raise self._end
            if self._begun is None:
                self._begun = self._begin()
            return self._begun

    @property
    def start_kind(self) -> str:  # type: ignore[override]
        """How it was started."""
        return self.wake().kind

    @property
    def notes(self) -> list[str]:  # type: ignore[override]
        """What a reader of the results should know about this guest."""
        return self.wake().notes

    @property
    def facts(self) -> wire.Facts:
        """What the kernel is, from probes."""
        return self.wake().facts

    def request(self, message: wire.Request[wire.Reply], timeout: float | None = None) -> wire.Reply:
        """Send one request and return its reply; see `Guest.request`."""
        with self._lock:
            line = self.wake().line
            if self._end is not None:
                raise GuestLost(
                    f"the guest is not there any more: {self._end.message}", where=self.kernel.spec
                ) from self._end
            try:
                return self._exchange(line, message, self._timeout if timeout is None else timeout)
            except RequestFailed:
                raise
            except EverykernelError as e:
                self._end = e
                if not isinstance(e, CaseTimeout):
                    line.close()
                raise

    def _exchange(self, line: Line, message: wire.Request[wire.Reply], timeout: float) -> wire.Reply:
        number = draw()
        deadline = time.monotonic() + timeout
        self._asked[number] = message
        try:
            line.send(number, message, deadline)
            while number in self._asked:  # first may come the answer to a request that was interrupted
                answered, reply = self._receive(line, deadline)
                del self._asked[answered]
        except DeadlinePassed as e:
            raise line.flooded() or self._overdue(line, message, timeout) from e
        if lost := line.flooded():
            raise lost
        found: wire.Reply = verdict(reply, self.kernel.spec, line.console)
        return found

    def _receive(self, line: Line, deadline: float) -> tuple[int, Any]:
        """Return the next answer; one that prints without end is not waited for until the deadline."""
        while True:
            try:
                return line.receive(min(deadline, time.monotonic() + _LOOK), self._asked)
            except DeadlinePassed:
                if time.monotonic() >= deadline or line.flooded():
                    raise

    def _overdue(self, line: Line, message: wire.Request[Any], timeout: float) -> EverykernelError:
        where = self.kernel.spec
        if line.answers_ping(PING_PATIENCE, self._asked):
            what = " ".join(message.argv) if isinstance(message, wire.Run) else message.kind
            text = f"{what!r} did not end within {timeout:g} s, while the guest still answers"
            return CaseTimeout(text, where=where, remedy="make it end, or the timeout longer")
        if line.channel.pending:
            text = f"no whole answer within {timeout:g} s, only the first {line.channel.pending} bytes of one"
            return GuestLost(text, console=console.tail(line.console()), where=where)
        if (died := console.death(line.console(), where)) is not None:  # and its machine goes on
            return died
        return self.hung(line, timeout)

    def hung(self, line: Line, timeout: float) -> KernelHung:
        """Return the error of a guest that answers nothing, with what its kernel says of where it is."""
        said = console.splats(line.console())
        hint = f": {console.one_line(said[-1])}" if said else ""
        line.interrogate()
        text = console.tail(line.console())
        return KernelHung(f"no answer within {timeout:g} s, nor to a ping{hint}", console=text, where=self.kernel.spec)

    def console(self) -> str:
        """Return what the kernel printed since this guest was started, its end where that is long."""
        return console.end(self._begun.line.console()) if self._begun else ""

    def warnings(self) -> list[str]:
        """Return the WARN, lockdep, RCU and lockup splats in the console, each whole."""
        return console.splats(self._begun.line.console()) if self._begun else []

    def close(self) -> None:
        """End the guest at once, also while another thread waits for it."""
        if self._begun is not None:
            self._begun.line.kill()
        with self._lock:
            if self._begun is not None:
                self._begun.line.close()
            elif self._end is None:
                self._abandon()
            self._end = self._end or GuestLost("the guest is closed", where=self.kernel.spec)


class QemuGuest(AgentGuest):
    """A guest in QEMU."""

    @property
    def qemu(self) -> Qemu:
        """The machine itself, for whoever wants to break it."""
        line = self.wake().line
        assert isinstance(line, Qemu)
        return line


def verdict(reply: Any, where: str, printed: Callable[[], str]) -> Any:
    """Return an admitted answer as it is, unless it says that there is none.

    Args:
        reply: what passed the gate.
        where: the kernel's spec, for errors.
        printed: gives the guest's console.

    Raises:
        RequestFailed: the request could not be done; a traceback comes with it.
        GuestLost: the agent broke.
    """
    if isinstance(reply, wire.Failed):
        message = f"{reply.message}\n{reply.trace}".rstrip()
        raise RequestFailed(message, code=reply.code, where=reply.where)
    if isinstance(reply, wire.Broke):
        said = f"{console.tail(printed())}\n\nThe agent says:\n{reply.trace}".lstrip()
        text = f"the agent broke: {console.one_line(reply.message)}"
        remedy = "report it, with the traceback, unless the object took the agent over"
        raise GuestLost(text, console=said, where=where, remedy=remedy)
    return reply
