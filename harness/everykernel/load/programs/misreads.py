"""Misreads of the programs that the kernel took: what is known of this kernel is handed to `core.reads`.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Optional

from everykernel.core import reads
from everykernel.core.reads import formats
from everykernel.load.kernel import tracefs

if TYPE_CHECKING:
    from everykernel import wire
    from everykernel.load.programs.externs import Resolution
    from everykernel.load.programs.relocate import Relocated
    from everykernel.load.system.door import System
    from everykernel.object import ObjectSpec, ProgramSpec


class Misreads:
    """Looks at the programs of one object on the running kernel."""

    def __init__(self, spec: ObjectSpec, relocated: Relocated, externs: Resolution, system: System) -> None:
        found = externs.resolved.items()
        settings = {n: externs.kconfig[at:] for n, at in externs.places.items()}
        symbols = {n: r.kind != "missing" for n, r in found if n not in settings}
        self._event = functools.partial(_event, system)  # no method: what is in no circle is freed when it is let go
        self._finder = reads.Finder(spec, settings=settings, symbols=symbols, events=self._event)
        self._relocated = relocated

    def of(self, program: ProgramSpec) -> list[wire.Misread]:
        """Return what a program that was loaded misreads."""
        parts = self._relocated.parts[program.name]
        found = self._finder.find(program, parts, self._relocated.programs[program.name])
        return found.describe(program, parts)

    def past_the_end(self, program: ProgramSpec) -> str:
        """Return why the kernel lets a program not attach to a tracepoint: it reads more than there is; "" if not so.

        The kernel compares the farthest byte of the context that is read with the event's size
        (perf_event_set_bpf_prog, kernel/events/core.c) and answers EACCES.
        """
        known = self._event(program.target)
        parts = self._relocated.parts.get(program.name)
        if known is None or parts is None:
            return ""
        reach, end = self._finder.reach(parts, self._relocated.programs[program.name]), formats.end(known)
        if reach <= end:
            return ""
        return f"it reads {reach} bytes of the tracepoint's context, and this kernel's event has {end}"


def _event(system: System, target: str) -> Optional[formats.Format]:
    """Return the fields of an event ``CATEGORY/NAME`` of the running kernel, None where there is no such event."""
    try:
        return formats.parse(system.text(f"{tracefs.root(system)}/events/{target}/format"))
    except (OSError, ValueError):
        return None
