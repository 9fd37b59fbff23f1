"""Attaching to many functions at once, by one link.

This module travels to the guest: standard library and pyelftools only, Python 3.9.
"""

from __future__ import annotations

import errno
import fnmatch
from typing import TYPE_CHECKING

from everykernel.load.attach import files, outcome, perf, uprobe
from everykernel.load.attach.outcome import Link, NotAttached
from everykernel.load.system.block import Block, text
from everykernel.load.system.errnos import error_name

if TYPE_CHECKING:
    from everykernel.load.system.door import System

_MULTI_RETURN = 1  # BPF_F_KPROBE_MULTI_RETURN and BPF_F_UPROBE_MULTI_RETURN


def uprobes(system: System, fd: int, target: str, attach_type: str, *, at_return: bool = False) -> Link:
    """Attach to a function, or all that a pattern names, by a multi link (Linux commit 89ae89f53d20, v6.6)."""
    path, rest = uprobe.split(system, target)
    places = files.symbol_offsets(system, path, rest) if files.is_pattern(rest) else [uprobe.place(system, target)[1]]
    flags = _MULTI_RETURN if at_return else 0
    offsets = Block(f"{len(places)}Q", *places)
    extra = ("QQQQIII", text(path), offsets, 0, 0, len(places), flags, 0)
    return outcome.create(system, fd, 0, attach_type, f"uprobe {target}", extra=extra)


def kprobes(system: System, fd: int, target: str, attach_type: str, *, at_return: bool = False) -> Link:
    """Attach to all functions that a pattern names (Linux commit 0dcac2725406, v5.18); it is one link."""
    what = f"kprobe {target}"
    names = functions(system, target) if files.is_pattern(target) else []
    names = names or [target]  # and what the kernel has not, it says
    pointers = Block(f"{len(names)}Q", *map(text, names))
    flags = _MULTI_RETURN if at_return else 0
    extra = ("IIQQQ", flags, len(names), pointers, 0, 0)
    try:
        return outcome.create(system, fd, 0, attach_type, what, extra=extra)
    except NotAttached as e:
        if e.errno in (errno.ESRCH, errno.ENOENT):
            raise NotAttached(
                f"{what}: {error_name(e.errno)}: this kernel has no such function",
                code="attach-target-missing",
                number=e.errno,
            ) from e
        raise


def functions(system: System, pattern: str) -> list[str]:
    """Return the functions that can be probed and that a pattern with ``*`` and ``?`` names."""
    try:
        names = perf.traceable(system)
    except OSError as e:
        raise NotAttached(
            f"kprobe {pattern}: {error_name(e.errno)}: this kernel does not list what can be probed",
            code="kernel-config-missing",
            number=e.errno or 0,
        ) from e
    pattern = files.literal(pattern)
    return sorted(name for name in names if fnmatch.fnmatchcase(name, pattern))
