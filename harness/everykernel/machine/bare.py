"""Guests without Python: their kernels boot and are restored as all do, and their agent is on this side of the line.

There is no warm snapshot: nothing of ours is in such a guest but the program, and what is to be learnt of its kernel is
kept here. It is learnt in a guest of its own, which no object has been in.
"""

from __future__ import annotations

import time
from typing import Any

from everykernel import cache, wire
from everykernel.errors import BootFailed, CaseTimeout, EverykernelError, GuestLost
from everykernel.machine import console, gate, settling
from everykernel.machine.channel import DeadlinePassed
from everykernel.machine.line import Line
from everykernel.machine.making import Maker, check_release
from everykernel.machine.qemu import Qemu
from everykernel.machine.running import AgentGuest, QemuGuest, verdict
from everykernel.machine.snapshots import Snapshot
from everykernel.remote import line as far
from everykernel.remote.agent import FarAgent, Learnt, learn
from everykernel.remote.stream import StreamClosed
from everykernel.remote.system import Remote

_WAKING, _LEARNING = 15.0, 120.0  # seconds until a restored guest greets us, and for all that is asked then


class BareMaker(Maker):
    """Makes the one snapshot of a plan that guests start from."""

    def warm(self) -> Snapshot:
        """Return the boot snapshot; see `Maker.warm`."""
        cache.hold(self.plan.boot_folder)
        found = self.booted()
        cache.touch(found.folder)
        if self.log.boots:
            cache.prune(keep=[found.folder])
        return found

    def hear(self, qemu: Qemu, patience: float) -> list[str]:
        """Make a kernel that is up ready to be saved; return what of its spec it does not have."""
        line = far.Line(qemu.channel, self.plan.kernel.spec)
        line.deadline = time.monotonic() + patience
        try:
            system = Remote(line, line.greet(), self.plan.kernel.arch.name)
            check_release(qemu, system.uname.release, self.plan.kernel.release)
            return settling.settle(system, self.plan.spec)
        except OSError as e:
            raise BootFailed(f"it cannot be made ready: {e}", where=self.plan.kernel.spec) from e
        except GuestLost as e:
            raise cause(e, qemu) from e


def learnt(qemu: Qemu, arch: str) -> Learnt:
    """Return what is to be known of the machine that a guest was restored to be; nothing else is done with it."""
    line = far.Line(qemu.channel, qemu.where)
    line.deadline = time.monotonic() + _WAKING
    try:
        hello = line.greet()
        line.deadline = time.monotonic() + _LEARNING
        system = Remote(line, hello, arch)
        settling.greet(system)
        return learn(system, hello)
    except GuestLost as e:
        raise cause(e, qemu) from e


def wake(qemu: Qemu, arch: str, known: Learnt, patience: float) -> FarAgent:
    """Return the agent of a guest that was resumed, its clock set; raise as `QemuGuest.request` does."""
    line = far.Line(qemu.channel, qemu.where)
    line.deadline = time.monotonic() + patience
    try:
        agent = FarAgent(line, arch, known)
        settling.greet(agent.system)
    except OSError as e:
        raise GuestLost(f"it cannot be woken: {e}", where=qemu.where) from e
    except GuestLost as e:
        raise cause(e, qemu) from e
    return agent


class FarGuest(AgentGuest):
    """A guest whose agent is here, whatever machine it is."""

    def _exchange(self, line: Line, message: wire.Request[wire.Reply], timeout: float) -> wire.Reply:
        agent = self.wake().agent
        assert agent is not None
        try:
            reply = agent.answer(message, time.monotonic() + timeout)
        except GuestLost as e:
            raise line.flooded() or self._lost(line, e, agent, timeout) from e
        if lost := line.flooded():
            raise lost
        found: wire.Reply = verdict(_admitted(message, reply), self.kernel.spec, line.console)
        return found

    def _lost(self, line: Line, error: GuestLost, agent: FarAgent, timeout: float) -> EverykernelError:
        """Return what a line that ended says of its guest; a call that does not end leaves nobody to answer a ping."""
        if not isinstance(error.__cause__, DeadlinePassed):
            return cause(error, line)
        if console.splats(line.console()):
            return self.hung(line, timeout)
        doing = agent.line.doing or "what it was asked"
        text = f"{doing} did not end within {timeout:g} s, and nothing else can be asked of this guest meanwhile"
        return CaseTimeout(text, where=self.kernel.spec, remedy="make it end, or the timeout longer")


class BareGuest(FarGuest, QemuGuest):
    """A guest in QEMU whose agent is here."""


def _admitted(message: wire.Request[Any], reply: wire.Message) -> Any:
    """Return a reply as it would have come over the channel: of the same shapes, no larger, by the same gate."""
    frame = wire.encode(1, reply)
    text, blob = wire.HEADER.unpack_from(frame)
    start = wire.HEADER.size
    if text > wire.TEXT_LIMIT or blob > message.room:
        what = f"the answer has {text} + {blob} bytes: more than {wire.TEXT_LIMIT} + {message.room}"
        return wire.Failed("limit-exceeded", what)
    return gate.admit(frame[start : start + text], frame[start + text :], {1: message})[1]


def cause(error: GuestLost, line: Line) -> EverykernelError:
    """Return why a line ended: how its guest did, where that is what closed it."""
    if isinstance(error.__cause__, StreamClosed):
        return line.death()
    return GuestLost(error.message, console=console.tail(line.console()), where=line.where)
