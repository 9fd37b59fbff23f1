"""What a kernel's console says about it: how it died, and the warnings that it printed."""

from __future__ import annotations

import re

from everykernel.errors import GuestError, GuestLost, KernelOops, KernelPanic

PANIC = re.compile(r"Kernel panic - not syncing: (.*)")
# How an oops begins: Linux arch/x86/mm/fault.c, lib/bug.c; and __die() of x86 and arm64: "Oops: 0002 [#1] PREEMPT SMP".
OOPS = re.compile(
    r"(BUG: unable to handle .*|BUG: kernel NULL pointer .*|kernel BUG at .*|\S.*: [0-9a-f]{4,16} \[#\d+\].*)"
)
# Linux mm/oom_kill.c (an error: always on the console), then our init: the process that was killed was the agent.
_AGENT_KILLED = re.compile(r"Out of memory: Killed process \d+ .*\n(.*\n)*?everykernel: the agent ended with code 137")
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
_END = re.compile(r"---\[ end trace|^$|={20,}$|</TASK>")


def plain(console: str) -> str:
    """Return the console without carriage returns and time stamps."""
    return _STAMP.sub("", console.replace("\r", ""))


def tail(console: str, lines: int = 60) -> str:
    """Return the last lines of the console."""
    return "\n".join(console.replace("\r", "").rstrip().splitlines()[-lines:])


def death(console: str, where: str) -> GuestError | None:
    """Return the error for a kernel that panicked, oopsed or killed the agent, with what it said; None without any."""
    text = plain(console)
    panic, oops = PANIC.search(text), OOPS.search(text)
    if oops and (panic is None or oops.start() < panic.start()):
        return KernelOops(f"the kernel oopsed: {oops[1].strip()}", console=_from(text, oops.start()), where=where)
    if panic:
        before = text.rfind("\n", 0, max(0, panic.start() - 1)) + 1  # the line before often names the trigger
        remedy = _MORE_MEMORY if _NO_MEMORY.search(panic[1]) else ""
        message = f"the kernel panicked: {panic[1].strip()}"
        return KernelPanic(message, console=_from(text, before), where=where, remedy=remedy)
    if _AGENT_KILLED.search(text):
        message = "the guest ran out of memory: the kernel killed its agent"
        return GuestLost(message, console=tail(text), where=where, remedy=_MORE_MEMORY)
    return None


def _from(text: str, start: int) -> str:
    return text[text.rfind("\n", 0, start) + 1 :].strip()


def splats(console: str) -> list[str]:
    """Return the warnings that the kernel printed, each with its trace."""
    found: list[list[str]] = []
    current: list[str] | None = None
    for line in plain(console).splitlines():
        if _SPLAT.search(line):
            current = [line]
            found.append(current)
        elif current is not None:
            if _END.search(line) or len(current) >= 80:
                current = None
            else:
                current.append(line)
    return ["\n".join(lines) for lines in found]
