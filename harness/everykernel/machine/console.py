"""What a kernel's console says about it: how it died, and the warnings that it printed."""

from __future__ import annotations

import re

from everykernel.errors import GuestError, KernelOops, KernelPanic

PANIC = re.compile(r"Kernel panic - not syncing: (.*)")
# Linux arch/x86/mm/fault.c, arch/x86/kernel/traps.c and dumpstack.c, lib/bug.c; "Oops" alone is every architecture's.
OOPS = re.compile(
    r"(BUG: unable to handle .*|BUG: kernel NULL pointer .*|general protection fault.*|kernel BUG at .*|Oops: .*)"
)
# A splat begins with one of these; kernel/panic.c prints "cut here" before and "end trace" after a WARN.
SPLAT = re.compile(
    r"WARNING: CPU: |WARNING: possible |WARNING: suspicious |WARNING: inconsistent |WARNING: bad unlock "
    r"|WARNING: held lock|BUG: sleeping function |BUG: workqueue lockup|BUG: scheduling while atomic"
    r"|BUG: Invalid wait context|watchdog: BUG: |rcu: INFO: |INFO: task .* blocked for more than|BUG: KASAN|BUG: KFENCE|UBSAN: |BUG: using "
)
_STAMP = re.compile(r"^\[ *\d+\.\d+\](\[ *[TC]\d+\])? ?", re.MULTILINE)
_END = re.compile(r"---\[ end trace|^$|={20,}$|</TASK>")


def plain(console: str) -> str:
    """Return the console without carriage returns and time stamps."""
    return _STAMP.sub("", console.replace("\r", ""))


def tail(console: str, lines: int = 60) -> str:
    """Return the last lines of the console."""
    return "\n".join(console.replace("\r", "").rstrip().splitlines()[-lines:])


def death(console: str, where: str) -> GuestError | None:
    """Return the error for a kernel that panicked or oopsed, its trace with it; None if the console shows neither."""
    text = plain(console)
    panic, oops = PANIC.search(text), OOPS.search(text)
    if oops and (panic is None or oops.start() < panic.start()):
        return KernelOops(f"the kernel oopsed: {oops[1].strip()}", console=_from(text, oops.start()), where=where)
    if panic:
        start = max(0, text.rfind("\n", 0, max(0, panic.start() - 1)))
        return KernelPanic(f"the kernel panicked: {panic[1].strip()}", console=_from(text, start), where=where)
    return None


def _from(text: str, start: int) -> str:
    return text[text.rfind("\n", 0, start) + 1 :].strip()


def splats(console: str) -> list[str]:
    """Return the warnings that the kernel printed, each with its trace."""
    found: list[list[str]] = []
    current: list[str] | None = None
    for line in plain(console).splitlines():
        if SPLAT.search(line):
            current = [line]
            found.append(current)
        elif current is not None:
            if _END.search(line) or len(current) >= 80:
                current = None
            else:
                current.append(line)
    return ["\n".join(lines) for lines in found]
