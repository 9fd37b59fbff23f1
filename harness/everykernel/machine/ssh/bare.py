"""Targets without Python: a static program is there, and the loader here, as with guests that are bare."""

from __future__ import annotations

import time
from typing import Any

from everykernel import load, wire
from everykernel.architectures import Architecture
from everykernel.errors import GuestLost
from everykernel.guest import probes, visiting
from everykernel.load.attach import usage
from everykernel.load.kernel.numbers import Numbers
from everykernel.machine.bare import cause
from everykernel.machine.ssh.session import Session
from everykernel.machine.ssh.target import Terms
from everykernel.remote import line as far
from everykernel.remote.agent import FarAgent, Learnt
from everykernel.remote.system import Remote


class FarVisitor(FarAgent):
    """The agent of a target, on this side of the line; it leaves the target as it was.

    Args:
        line, arch, learnt: as of `FarAgent`.
        loads: whether it may load.
    """

    def __init__(self, line: far.Line, arch: str, learnt: Learnt, *, loads: bool) -> None:
        self._loads = loads
        super().__init__(line, arch, learnt)
        self._numbers = Numbers(self.system) if loads else None

    def count(self) -> None:
        """Have the kernel count the runs of programs, as long as the line is there."""
        if self._loads:
            usage.count(self.system, lasting=False)

    def _answer(self, message: wire.Request[Any]) -> wire.Message:
        if not self._loads and (denied := visiting.denied(message)) is not None:
            return denied
        if isinstance(message, wire.Finish):
            return wire.Value(self._finish())
        return super()._answer(message)

    def _finish(self) -> list[str]:
        self._requests.close()
        numbers, self._numbers = self._numbers, None
        return numbers.stayed(visiting.SETTLING) if numbers is not None else []


def begin(session: Session, arch: Architecture, terms: Terms) -> FarVisitor:
    """Return the agent of a target whose program waits for us; raise what ended it where it does not answer.

    What the kernel can do is found out when it is needed: nothing is tried before an object asks for it.
    """
    line = far.Line(session.channel, session.where)
    line.deadline = time.monotonic() + terms.timeout
    try:
        hello = line.greet()
        system = Remote(line, hello, arch.name)
        learnt = Learnt(hello, probes.facts(system, ""), load.kernel_btf(system))
        return FarVisitor(line, arch.name, learnt, loads=terms.may_load)
    except OSError as e:
        raise GuestLost(f"its kernel cannot be looked at: {e}", where=session.where) from e
    except GuestLost as e:
        raise cause(e, session) from e
