"""The agent of a machine that has no Python: it serves the same requests, from here, by the machine's far door.

What was learnt of a kernel before any object came near it is shared by all machines in the same state (`Learnt`); what
one of them says later is its own.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from everykernel import load, wire
from everykernel.errors import EverykernelError
from everykernel.guest import probes, warm
from everykernel.guest.requests import Requests
from everykernel.guest.system import broke, refused
from everykernel.load.attach import usage
from everykernel.load.kernel.types import KernelTypes
from everykernel.remote.gate import Hello
from everykernel.remote.line import Line
from everykernel.remote.system import Remote

# What needs the machine, and nothing beside the object in it.
SERVED = (
    wire.Load, wire.Attach, wire.Detach, wire.TestRun, wire.Read, wire.MapOp, wire.Globals, wire.Events, wire.Unload,
)  # fmt: skip
NOTHING_RUNS = "nothing runs in this machine beside its kernel: it has neither Python nor programs"


@dataclass(frozen=True)
class Learnt:
    """What is known of a machine in a state, before any object came near it.

    Attributes:
        hello: what its program says of it.
        facts: what the kernel is.
        kernel: its types, symbols and abilities.
    """

    hello: Hello
    facts: wire.Facts
    kernel: KernelTypes


def learn(system: Remote, hello: Hello) -> Learnt:
    """Return what is to be known of a machine, as the agent in a guest finds it out before it is saved."""
    kernel = load.kernel_btf(system)
    warm.learn(kernel)
    return Learnt(hello, probes.facts(system, ""), kernel)


class FarAgent:
    """Answers requests about a machine at the far end of a line.

    Args:
        line: the line to its program.
        arch: the name of its architecture.
        learnt: what is known of a machine in its state.
    """

    def __init__(self, line: Line, arch: str, learnt: Learnt) -> None:
        self.line = line
        self.facts = learnt.facts
        self.system = Remote(line, learnt.hello, arch)
        self._requests = Requests(learnt.kernel.again(self.system))
        self.count()

    def count(self) -> None:
        """Have the kernel count the runs of programs."""
        usage.count(self.system)

    def answer(self, message: wire.Request[Any], deadline: float) -> wire.Message:
        """Return the reply to a request; what the machine does not do is a reply too.

        Raises what ended the line, whatever the loader made of that.
        """
        self.line.deadline = deadline
        try:
            reply = self._answer(message)
        except EverykernelError as e:
            reply = wire.Failed(e.code, e.message, e.where)
        except Exception as e:  # a defect of ours, or a machine that says what none of its kind says
            reply = broke(e)
        finally:
            self.line.deadline = None
        if self.line.end is not None:
            raise self.line.end
        return reply

    def _answer(self, message: wire.Request[Any]) -> wire.Message:
        if isinstance(message, SERVED):
            return self._requests.serve(message)
        if isinstance(message, wire.Ping):
            self.system.one("getpid")
            return wire.Done()
        if isinstance(message, wire.Hello):
            return self.facts
        if isinstance(message, (wire.Push, wire.Pull)):
            return self._file(message)
        return wire.Failed("command-not-started", NOTHING_RUNS, message.kind)

    def _file(self, message: wire.Push | wire.Pull) -> wire.Message:
        try:
            if isinstance(message, wire.Pull):
                return wire.Value(self.system.read(message.path))
            folder = message.path.rpartition("/")[0]
            if folder:
                with contextlib.suppress(FileExistsError):
                    self.system.make_folders(folder)
            self.system.push(message.path, message.data, message.mode)
        except (OSError, ValueError) as e:
            return refused(e, message.path)
        return wire.Done()
