"""The agent on a machine that is not ours: it leaves everything as it was, however it ends.

It serves the same requests over standard input and output, for one cell. It sets no clock, warms nothing up, and loads
only where that was allowed. When its input ends, is silent for too long, or a signal asks it to, it ends every program
that it started and unloads what it loaded; what started it (`everykernel.guest.bootstrap`) removes its files.

This module travels to the target: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Optional

from everykernel import wire
from everykernel.guest import agent, system
from everykernel.guest.agent import Agent, Job, Port
from everykernel.load.attach import usage
from everykernel.load.kernel.numbers import Numbers

_UNWINDING = 5.0  # seconds that a request under way has to let go
SETTLING = 3.0  # seconds in which the kernel frees what nobody holds any more
_PR_SET_CHILD_SUBREAPER = 36  # include/uapi/linux/prctl.h
_HARMLESS = (wire.Hello, wire.Pull, wire.Load, wire.Unload, wire.Finish)  # where nothing may be loaded


def denied(message: wire.Request[Any]) -> Optional[wire.Failed]:
    """Return the reply to what would change a machine into which nothing may be loaded; None for what does not."""
    relocates = not isinstance(message, wire.Load) or message.until == "relocate"
    if isinstance(message, _HARMLESS) and relocates:
        return None
    return wire.Failed("permission-denied", "nothing may be loaded or run on this target", message.kind)


class Visitor(Agent):
    """An agent that may be a guest of somebody else's machine.

    Args:
        loads: whether it may load.
    """

    def __init__(self, *, loads: bool) -> None:
        super().__init__()
        self._loads = loads
        self._own[wire.Finish.kind] = self._finish
        self._numbers = Numbers(self._requests.system) if loads else None
        if loads:
            usage.count(self._requests.system, lasting=False)

    def _hello(self, message: wire.Hello) -> wire.Message:
        return self.facts

    def answer(self, message: wire.Request[Any]) -> wire.Message:
        """Return the reply to a request; refuse what would change the machine, unless that is allowed."""
        refused = None if self._loads else denied(message)
        return super().answer(message) if refused is None else refused

    def finish(self) -> list[str]:
        """Unload everything, end what was started, and return what stays all the same, a line each."""
        told = []
        try:
            self._requests.close()
        except OSError as e:
            told.append(f"cannot be detached: {e.strerror}")
        end_children()
        numbers, self._numbers = self._numbers, None
        if numbers is not None:
            told += numbers.stayed(SETTLING)
        return told

    def _finish(self, _: wire.Finish) -> wire.Message:
        return wire.Value(self.finish())


class Gone(Exception):
    """The host is not there any more."""


class Source:
    """What is read from, with an end."""

    def __init__(self, descriptor: int, silence: float) -> None:
        self._descriptor = descriptor
        self._silence = silence

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes; raise Gone at the end, or when nothing comes for too long."""
        out = bytearray()
        while len(out) < size:
            if not select.select([self._descriptor], [], [], self._silence)[0]:
                raise Gone(f"silent for {self._silence:g} s")
            data = os.read(self._descriptor, min(size - len(out), 1 << 16))
            if not data:
                raise Gone("closed")
            out += data
        return bytes(out)


def serve(leave: Callable[[], None], *, loads: bool, silence: float) -> None:
    """Serve on standard input and output until the host is gone; nothing else reads from or writes to them.

    ``silence`` are the seconds without a word of the host after which it is gone for us. ``leave`` removes our files
    and ends this process, where a request never lets go.
    """
    adopt_orphans()
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what a check prints is no answer
    port = Port(sink, Source(source, silence).read)
    visitor: Optional[Visitor] = None
    try:
        visitor = _begin(port, loads)
        _serve(visitor, port, leave)
    except (KeyboardInterrupt, Gone, BrokenPipeError):
        pass  # the host is gone
    finally:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if visitor is not None:
            visitor.finish()
        end_children()


def _begin(port: Port, loads: bool) -> Optional[Visitor]:
    try:
        visitor = Visitor(loads=loads)
    except Exception as e:
        port.send(0, system.broke(e))
        return None
    port.send(0, visitor.facts)
    return visitor


def _serve(visitor: Optional[Visitor], port: Port, leave: Callable[[], None]) -> None:
    jobs: SimpleQueue[Job] = SimpleQueue()
    threading.Thread(target=_read, args=(port, jobs, visitor, leave), daemon=True).start()
    while visitor is not None:
        number, message = jobs.get()
        port.send(number, visitor.answer(message), message.room)
    threading.Event().wait()


def _read(port: Port, jobs: SimpleQueue[Job], visitor: Optional[Visitor], leave: Callable[[], None]) -> None:
    """Read until the host is gone; then have the main thread let go of what it does, or do its work."""
    try:
        agent.read(port, jobs)
    except Exception as e:
        with contextlib.suppress(OSError):  # nobody reads that either, once the connection is
            sys.stderr.write(f"everykernel: the host is gone: {e}\n")
    main = threading.main_thread()
    assert main.ident is not None
    signal.pthread_kill(main.ident, signal.SIGINT)
    main.join(_UNWINDING)
    if not main.is_alive():
        return
    if visitor is not None:  # a request does not let go
        with contextlib.suppress(Exception):
            visitor.finish()
    end_children()
    leave()


def adopt_orphans() -> None:
    """Become the parent of what our children leave behind, so that it is found."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_children(patience: float = 5.0) -> None:
    """End all processes that descend from this one."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        for child in _children():
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def _children() -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat") as file:
                if int(file.read().rpartition(")")[2].split()[1]) == os.getpid():
                    found.append(int(name))
    return found
