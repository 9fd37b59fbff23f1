"""tracefs: where it is, and probes that are made by writing to it.

The way to probes before perf had PMUs for them: Linux commits e12f03d7031a ("perf/core: Implement the 'perf_kprobe'
PMU") and 33ea4b24277b ("perf/core: Implement the 'perf_uprobe' PMU") (in v4.17).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from everykernel.load.system.door import System

_PLACES = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_numbers = itertools.count(1)  # probes have names


def root(system: System) -> str:
    """Return where tracefs is mounted."""
    return next((path for path in _PLACES if system.exists(f"{path}/events")), _PLACES[0])


def add(system: System, kind: str, place: str, *, at_return: bool = False) -> str:
    """Make a probe and return its name. Raises OSError where the kernel takes no such probe.

    ``kind`` is kprobe or uprobe, ``place`` is written as tracefs takes it.
    """
    name = f"everykernel_{system.pid}_{next(_numbers)}"
    system.write(f"{root(system)}/{kind}_events", f"{'r' if at_return else 'p'}:{name} {place}\n", append=True)
    return name


def event(system: System, kind: str, name: str) -> int:
    """Return the number by which perf knows a probe. Raises OSError."""
    return int(system.text(f"{root(system)}/events/{kind}s/{name}/id"))


def remove(system: System, kind: str, name: str) -> None:
    """Remove a probe that nothing uses; one that something uses stays."""
    with contextlib.suppress(OSError):
        system.write(f"{root(system)}/{kind}_events", f"-:{name}\n", append=True)
