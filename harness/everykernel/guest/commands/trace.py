"""The tracer: follows a command and all that come of it, and notes the bpf(2) calls of each. It only watches.

Threads of the kernel's stop for it where a process forks, execs or exits, and at the calls that the seccomp filter
names; all else runs on. This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Optional

from everykernel import wire
from everykernel.guest.commands import calls, ptrace

_WALL, _NOTHREAD = 0x40000000, 0x20000000  # __WALL, __WNOTHREAD: all kinds of children, this thread's only
_KEPT = 1000  # calls that are kept of the beginning, and of the end
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


class Tracer:
    """Follows one command; used by one thread, but for `stop`.

    Args:
        limit: processes and threads that may be alive at once.
        look: called when a call made a program or map or ran a program, and before a thread is gone.
        named: gives name and type of a program by the kernel's number.

    Attributes:
        status: how the command itself ended, as waitpid(2) says it; None until then.
        end: why it was stopped: `wire.DEADLINE`, `wire.PROCESSES`, or "".
        processes: how many processes and threads there were.
        left: how many were there still when the command itself had ended.
        calls: the calls, the first and the last of many.
        left_out: how many are missing between these.
    """

    def __init__(self, pid: int, limit: int, look: Callable[[], None], named: Callable[[int], tuple[str, str]]) -> None:
        self.pid = pid
        self.status: Optional[int] = None
        self.end = ""
        self.processes = 1
        self.left = 0
        self.left_out = 0
        self._limit = limit
        self._look = look
        self._named = named
        self._first: list[wire.BpfCall] = []
        self._last: list[wire.BpfCall] = []
        self._alive = {pid: None}
        self._begun: dict[int, calls.Begun] = {}
        self._ending = False
        self._started = time.monotonic()

    @property
    def calls(self) -> list[wire.BpfCall]:
        """The calls that are kept, in order."""
        return self._first + self._last

    def seize(self) -> None:
        """Begin to watch; raises OSError."""
        ptrace.seize(self.pid)

    def stop(self, end: str = "") -> None:
        """End the command and all that came of it, from whichever thread; ``end`` says why."""
        if not self._ending:
            self.end = end
            self._ending = True
        for pid in list(self._alive):
            _kill(pid)

    def follow(self, ended: Callable[[], None]) -> None:
        """Watch until nothing of it is alive; ``ended`` is called when the command itself has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, _WALL | _NOTHREAD)
            except ChildProcessError:
                return
            except InterruptedError:
                continue
            if os.WIFSTOPPED(status):
                try:
                    self._stopped(pid, status)
                except OSError:  # it was killed meanwhile, or what it did cannot be read
                    self._begun.pop(pid, None)
                    with contextlib.suppress(OSError):
                        ptrace.go_on(pid)
                continue
            self._alive.pop(pid, None)
            self._begun.pop(pid, None)
            if pid == self.pid:
                self.status = status
                self.left = len(self._alive)
                ended()

    def _stopped(self, pid: int, status: int) -> None:
        """See to a thread that stopped, and let it go on."""
        number, event = os.WSTOPSIG(status), status >> 16
        if pid not in self._alive:
            self._alive[pid] = None
            self.processes += 1
            if len(self._alive) > self._limit:
                self.stop(wire.PROCESSES)
        if event == ptrace.EVENT_EXIT:
            self._look()
        elif self._ending:
            _kill(pid)
        elif event == ptrace.EVENT_SECCOMP:
            self._enter(pid)
            return
        elif event == ptrace.EVENT_EXEC:
            former = ptrace.message(pid)
            if former != pid:
                self._alive.pop(former, None)
        elif event == ptrace.EVENT_STOP:
            if number in _STOPS:
                ptrace.stay(pid)
                return
        elif number == signal.SIGTRAP | ptrace.SYSCALL_STOP:
            self._exit(pid)
        elif not event:
            ptrace.go_on(pid, number)
            return
        ptrace.go_on(pid)

    def _enter(self, pid: int) -> None:
        entered = ptrace.entered(pid)
        command, address, size = entered.arguments[:3]
        begun = calls.begin(
            command & 0xFFFFFFFF,
            address,
            size & 0xFFFFFFFF,
            lambda at, room: ptrace.read(pid, at, room),
            lambda descriptor: self._named(identifier(pid, descriptor) or 0),
        )
        begun.call["at"], begun.call["pid"] = round(time.monotonic() - self._started, 6), pid
        self._begun[pid] = begun
        ptrace.to_exit(pid)

    def _exit(self, pid: int) -> None:
        begun = self._begun.pop(pid, None)
        if begun is None:
            return
        result = ptrace.result(pid)
        call = calls.end(begun, result, lambda at, room: ptrace.read(pid, at, room))
        if result >= 0 and call["command"] in ("PROG_LOAD", "MAP_CREATE"):
            call["id"] = identifier(pid, result)
            self._look()
        elif call["command"] == "PROG_TEST_RUN":  # the program may be closed before anything else happens
            self._look()
        if len(self._first) < _KEPT:
            self._first.append(call)
            return
        self._last.append(call)
        if len(self._last) > _KEPT:
            del self._last[0]
            self.left_out += 1


def identifier(pid: int, descriptor: int) -> Optional[int]:
    """Return the kernel's number of the program or map that a process's descriptor stands for, where it tells."""
    try:
        with open(f"/proc/{pid}/fdinfo/{descriptor}") as file:
            for line in file:
                if line.startswith(("prog_id:", "map_id:")):
                    return int(line.partition(":")[2])
    except (OSError, ValueError):
        pass
    return None


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)
