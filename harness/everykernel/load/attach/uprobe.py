"""Attaching to code in programs and libraries.

This module travels to the guest: standard library and pyelftools only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.load.attach import files, outcome, perf
from everykernel.load.attach.outcome import Link, NotAttached
from everykernel.load.system import abi
from everykernel.load.system.block import text

if TYPE_CHECKING:
    from everykernel.load.system.door import System

_UPROBES = "/sys/bus/event_source/devices/uprobe"
_SEMAPHORE_SHIFT = 32  # PERF_UPROBE_REF_CTR_OFFSET_SHIFT: format/ref_ctr_offset says config:32-63


def place(system: System, target: str) -> tuple[str, int]:
    """Return file and offset of ``FILE:FUNCTION[+OFFSET]`` or ``FILE:OFFSET``; raise NotAttached for anything else.

    A file without a slash is looked for where programs and libraries are.
    """
    path, rest = split(system, target)
    symbol, _, more = rest.partition("+")
    if symbol[:1].isdigit():
        return path, outcome.number(symbol, f"uprobe {target}")
    if files.is_pattern(symbol):
        raise NotAttached(f"uprobe {target}: only multi links take patterns", code="attach-target-missing")
    return path, files.symbol_offsets(system, path, symbol)[0] + outcome.number(more or "0", f"uprobe {target}")


def split(system: System, target: str) -> tuple[str, str]:
    """Return the file of a target, and what follows it."""
    path, colon, rest = target.rpartition(":")
    if not colon:
        raise NotAttached(f"uprobe {target}: names no file: give file:function", code="attach-target-missing")
    return path if "/" in path else files.find_file(system, path), rest


def uprobe(system: System, fd: int, target: str, *, at_return: bool = False) -> Link:
    """Attach to a function of a program or library, in every process that runs it."""
    path, offset = place(system, target)
    return at(system, fd, path, offset, f"{'uretprobe' if at_return else 'uprobe'} {target}", at_return=at_return)


def at(
    system: System,
    fd: int,
    path: str,
    offset: int,
    what: str,
    *,
    at_return: bool = False,
    semaphore: int = 0,
    cookie: int = 0,
) -> Link:
    """Attach to an instruction of a file.

    ``semaphore`` is the offset in the file of a counter that the kernel raises meanwhile, in every process (Linux
    commit a6ca88b241d5, v4.20); ``cookie`` is for kernels that have cookies.
    """
    if semaphore and not system.exists(f"{_UPROBES}/format/ref_ctr_offset"):  # it would ignore what it does not know
        raise NotAttached(f"{what}: this kernel cannot switch the probe on", code="attach-type-unsupported")
    try:
        type_ = int(system.text(f"{_UPROBES}/type"))
    except FileNotFoundError:
        return uprobe_by_tracefs(system, fd, path, offset, what, at_return=at_return)
    config = (perf.retprobe_bit(system, _UPROBES) if at_return else 0) | semaphore << _SEMAPHORE_SHIFT
    try:
        event = system.perf_event_open(abi.perf_event(type_, config, one=text(path), two=offset), -1, 0)
    except OSError as e:
        raise outcome.refused(what, e, "the kernel refuses a probe there") from e
    return perf.link(system, fd, event, what, cookie)


def uprobe_by_tracefs(system: System, fd: int, path: str, offset: int, what: str, *, at_return: bool = False) -> Link:
    """Attach to an instruction of a file where the kernel has no perf PMU for it."""
    try:
        return perf.by_tracefs(system, fd, "uprobe", f"{path}:{offset:#x}", what, at_return=at_return)
    except OSError as e:
        raise outcome.refused(what, e, "the kernel refuses a probe there") from e
