"""What a kernel's console says about it: how it died, and the warnings that it printed."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from everykernel.btf.naming import printable
from everykernel.errors import GuestError, GuestLost, KernelOops, KernelPanic

LIMIT = 2 << 20  # bytes that a guest may print: QEMU's file ends there, and the guest is lost that does not
END = 1 << 20  # characters of its console that are kept, the last ones
SPLATS_LIMIT = 200  # warnings that are kept; the others are counted
_WIDTH = 1000  # characters of a line that are looked at, or shown: the kernel's own have some 1000 at most (printk.h)

PANIC = re.compile(r"Kernel panic - not syncing: (.*)")
# How an oops begins: Linux arch/x86/mm/fault.c, lib/bug.c; and __die() of x86 and arm64: "Oops: 0002 [#1] PREEMPT SMP".
OOPS = re.compile(r"BUG: unable to handle |BUG: kernel NULL pointer |kernel BUG at ")
_DIE = re.compile(r": [0-9a-f]{4,16} \[#\d+\]")
# Linux mm/oom_kill.c (an error: always on the console), then our init: the process that was killed was the agent.
_KILLED = re.compile(r"Out of memory: Killed process \d+ ")
_AGENT_KILLED = "everykernel: the agent ended with code 137"
_NO_MEMORY = re.compile(r"out of memory|deadlocked on memory", re.IGNORECASE)  # the panics of mm/oom_kill.c
_MORE_MEMORY = "give it more: run --memory 512 (MiB), memory = 512 in a case's [machine], kernel(memory=512) on a test"
# How a splat begins, one a row: the kernel goes on after it.
SPLATS = (
    "WARNING: CPU: ",  # WARN(): kernel/panic.c
    "WARNING: possible ",  # lockdep: kernel/locking/lockdep.c, five rows
    "WARNING: inconsistent ",
    "WARNING: suspicious ",
    "WARNING: bad unlock ",
    "WARNING: held lock",
    "BUG: Invalid wait context",
    "BUG: sleeping function ",  # kernel/sched/core.c, two rows
    "BUG: scheduling while atomic",
    "BUG: using ",  # lib/smp_processor_id.c
    "BUG: workqueue lockup",  # kernel/workqueue.c
    "BUG: soft lockup",  # kernel/watchdog.c
    "rcu: INFO: ",  # kernel/rcu/tree_stall.h
    "blocked for more than",  # kernel/hung_task.c
    "BUG: KASAN",
    "BUG: KFENCE",
    "UBSAN: ",
)
_SPLAT = re.compile("|".join(map(re.escape, SPLATS)))
_STAMP = re.compile(r"^\[ *\d+\.\d+\](\[ *[TC]\d+\])? ?", re.MULTILINE)
_ENDS = ("---[ end trace", "</TASK>", "=" * 20)


def read(path: Path) -> str:
    """Return what is in a console's file; "" where there is none."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def full(path: Path) -> bool:
    """Return whether a console's file is at its limit."""
    with contextlib.suppress(OSError):
        return path.stat().st_size >= LIMIT
    return False


def end(console: str) -> str:
    """Return the end of a console, whole lines, without carriage returns."""
    kept = console[-END:]
    return (kept if len(kept) == len(console) else kept.partition("\n")[2]).replace("\r", "")


def plain(console: str) -> str:
    """Return the console without carriage returns and time stamps."""
    return _STAMP.sub("", console.replace("\r", ""))


def _lines(console: str) -> list[str]:
    """Return its plain lines, each cut to what a kernel prints at most."""
    return [line[:_WIDTH] for line in plain(console).split("\n")]


def one_line(text: str) -> str:
    """Return the first line of a text as an error's message shows it: cut, with escapes for what is no text."""
    return printable(text.strip().partition("\n")[0][:200])


def tail(console: str, lines: int = 60) -> str:
    """Return the last lines of the console."""
    found = console.replace("\r", "").rstrip().rsplit("\n", lines)[-lines:]
    return "\n".join(line[:_WIDTH] for line in found)


def death(console: str, where: str) -> GuestError | None:
    """Return the error for a kernel that panicked, oopsed or killed the agent, with what it said; None without any."""
    lines = _lines(console)
    killed = False
    for number, line in enumerate(lines):
        if found := _oops(line):
            message = f"the kernel oopsed: {one_line(found)}"
            return KernelOops(message, console=_from(lines, number), where=where)
        if panic := PANIC.search(line):
            remedy = _MORE_MEMORY if _NO_MEMORY.search(panic[1]) else ""
            message = f"the kernel panicked: {one_line(panic[1])}"
            before = max(0, number - 1)  # the line before often names the trigger
            error = KernelPanic(message, console=_from(lines, before), where=where, remedy=remedy)
            error.out_of_memory = bool(remedy)
            return error
        killed = killed or _KILLED.search(line) is not None
        if killed and _AGENT_KILLED in line:
            message = "the guest ran out of memory: the kernel killed its agent"
            lost = GuestLost(message, console=tail("\n".join(lines)), where=where, remedy=_MORE_MEMORY)
            lost.out_of_memory = True
            return lost
    return None


def _oops(line: str) -> str:
    """Return how an oops begins, if it does in this line."""
    if found := OOPS.search(line):
        return line[found.start() :]
    found = _DIE.search(line)
    return line.lstrip() if found and line[: found.start()].strip() else ""


def _from(lines: list[str], first: int) -> str:
    return "\n".join(lines[first:]).strip()


def splats(console: str) -> list[str]:
    """Return the warnings that the kernel printed, each with its trace."""
    found: list[list[str]] = []
    current: list[str] | None = None
    for line in _lines(console):
        if _SPLAT.search(line):
            current = [line]
            found.append(current)
        elif current is not None:
            if not line or any(end in line for end in _ENDS) or len(current) >= 80:
                current = None
            else:
                current.append(line)
    told = ["\n".join(lines) for lines in found[:SPLATS_LIMIT]]
    return told if len(found) <= SPLATS_LIMIT else [*told, f"({len(found) - SPLATS_LIMIT} more warnings)"]
