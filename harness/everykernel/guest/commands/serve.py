"""A command, run to its end or its deadline, and all that was seen of it.

This module travels to the guest: standard library and pyelftools only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Optional

from everykernel import wire
from everykernel.architectures import ARCHITECTURES
from everykernel.guest.commands import filter as filter_
from everykernel.guest.commands import missing
from everykernel.guest.commands.child import Child
from everykernel.guest.commands.output import Stream
from everykernel.guest.commands.trace import Tracer
from everykernel.guest.system import may_be_killed
from everykernel.load.kernel.inventory import Inventory
from everykernel.load.programs import foreign

if TYPE_CHECKING:
    from everykernel.load import KernelTypes

_GRACE = 1.0  # seconds that what a command leaves behind may go on before it is ended
_INTERVAL = 0.25  # seconds between looks at the kernel's programs and maps
_LOGS = 8 << 20  # characters of all logs together
# Calls whose refusal may be why a command fails, and whose success under the same name makes an earlier one harmless.
_BLAMED = ("PROG_LOAD", "MAP_CREATE", "RAW_TRACEPOINT_OPEN", "LINK_CREATE", "PROG_ATTACH", "BTF_LOAD")


def command(message: wire.Command, kernel: KernelTypes) -> wire.Message:
    """Run a command in a thread of its own, whose children alone are waited for; return what became of it."""
    found: list[wire.Message] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            found.append(_run(message, kernel))
        except BaseException as e:
            errors.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return found[0]


def _run(message: wire.Command, kernel: KernelTypes) -> wire.Commanded:
    inventory = Inventory(kernel.system)
    killed_before = _killed()
    out, err = Stream(message.keep), Stream(message.keep)
    began = time.monotonic()
    with tempfile.TemporaryFile() as given:
        given.write(message.stdin)
        given.seek(0)
        child = Child(
            message.argv,
            {**os.environ, **message.env},
            message.cwd,
            (given.fileno(), out.write, err.write),
            message.binds,
            filter_.program(ARCHITECTURES.values()),
        )
    out.begin()
    err.begin()
    may_be_killed(child.pid)
    tracer = Tracer(child.pid, message.processes, inventory.look, inventory.named)
    tracer.seize()
    error, filtered = child.start()
    timers = _Timers(tracer, inventory, message.timeout)
    tracer.follow(timers.ended)
    seconds = time.monotonic() - began
    timers.close()
    inventory.look()
    answer = wire.Commanded(
        end=wire.EXIT,
        code=0,
        message="",
        seconds=round(seconds, 6),
        stdout=dict(out.end()),
        stderr=dict(err.end()),
        processes=tracer.processes,
        out_of_memory=max(0, _killed() - killed_before),
        calls=[dict(call) for call in _cut([_explained(call, kernel) for call in tracer.calls])],
        calls_left_out=tracer.left_out,
        blamed=blamed(tracer.calls),
        programs=[dict(one) for one in inventory.programs.values()],
        maps=[dict(one) for one in inventory.maps.values()],
        notes=_notes(tracer, filtered),
    )
    _end(answer, tracer, error, message)
    return answer


class _Timers:
    """What happens beside the tracer: the deadline, looks at the kernel, and an end for what is left behind."""

    def __init__(self, tracer: Tracer, inventory: Inventory, timeout: float) -> None:
        self._tracer = tracer
        self._inventory = inventory
        self._over = threading.Event()
        self._timers = [threading.Timer(timeout, tracer.stop, (wire.DEADLINE,))]
        self._looks = threading.Thread(target=self._look, daemon=True)
        self._timers[0].start()
        self._looks.start()

    def ended(self) -> None:
        """Give what the command left behind a moment."""
        timer = threading.Timer(_GRACE, self._tracer.stop)
        self._timers.append(timer)
        timer.start()

    def close(self) -> None:
        """End all of it."""
        self._over.set()
        for timer in self._timers:
            timer.cancel()
        self._looks.join()

    def _look(self) -> None:
        while not self._over.wait(_INTERVAL):
            self._inventory.look()


def blamed(calls: list[wire.BpfCall]) -> Optional[int]:
    """Return the index of the last refused call that nothing made good later, probes left aside; None for none."""
    done = set()
    for index in range(len(calls) - 1, -1, -1):
        call = calls[index]
        if call["command"] not in _BLAMED or call.get("probe"):
            continue
        key = call["command"], call.get("type", ""), call.get("name", ""), call.get("attach", "")
        if call["errno"] is None:
            done.add(key)
        elif key not in done and call["command"] != "BTF_LOAD":
            return index
    return None


def _explained(call: wire.BpfCall, kernel: KernelTypes) -> wire.BpfCall:
    """Return a call with its attach point by name, and why it was refused."""
    made: wire.BpfCall = {**call}
    if call["errno"] is not None:
        reason = foreign.of_call(call, kernel)
        made["code"], made["message"] = reason.code, reason.message
    if call["command"] == "PROG_LOAD":
        made["attach"] = foreign.target_of(call, kernel)
    return made


def _cut(calls: list[wire.BpfCall]) -> list[wire.BpfCall]:
    """Return calls whose logs fit into one answer: of many logs the last ones are kept."""
    room = _LOGS
    for call in reversed(calls):
        if "log" not in call:
            continue
        room -= len(call["log"])
        if room < 0:
            call["log"] = f"({len(call['log'])} characters left out)"
    return calls


def _end(answer: wire.Commanded, tracer: Tracer, error: Optional[OSError], message: wire.Command) -> None:
    """Fill in how it ended."""
    status = tracer.status if tracer.status is not None else 0
    if os.WIFSIGNALED(status):
        answer.end, answer.code = wire.SIGNAL, os.WTERMSIG(status)
    else:
        answer.code = os.WEXITSTATUS(status)
    if error is not None:
        answer.end, answer.message = wire.NOT_STARTED, missing.explain(error, message.argv[0], message.cwd)
    elif tracer.end:
        answer.end = tracer.end


def _notes(tracer: Tracer, filtered: bool) -> list[str]:
    notes = []
    if not filtered:
        notes.append("this kernel has no seccomp filters: the command's bpf(2) calls are not traced")
    if tracer.left and not tracer.end:
        left = f"{tracer.left} processes or threads" if tracer.left > 1 else "a process"
        notes.append(f"it left {left} behind, ended after {_GRACE:g} s")
    return notes


def _killed() -> int:
    """Return how many processes the OOM killer took so far (since Linux commit 8e675f7af507, v4.13)."""
    with contextlib.suppress(OSError, ValueError), open("/proc/vmstat") as file:
        for line in file:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
