"""Attaching to events of perf: by a link or ioctl(2), through tracefs, and to what the kernel counts.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import struct

from everykernel.load.attach import outcome
from everykernel.load.attach.outcome import Link, NotAttached
from everykernel.load.system import abi
from everykernel.load.system.syscalls import bpf, perf_event_open
from everykernel.object.sections import ATTACH_TYPE

_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
# enum perf_sw_ids of include/uapi/linux/perf_event.h, and perf's names for them
_SOFTWARE = (
    "cpu-clock", "task-clock", "page-faults", "context-switches", "cpu-migrations", "minor-faults", "major-faults",
    "alignment-faults", "emulation-faults",
)  # fmt: skip
_CLOCK_PERIOD = 1_000_000  # ns between two samples of a clock
_numbers = itertools.count(1)  # probes in tracefs have names


def tracefs() -> str:
    """Return where tracefs is mounted."""
    return next((path for path in _TRACEFS if os.path.isdir(f"{path}/events")), _TRACEFS[0])  # noqa: PTH112


def read(path: str) -> str:
    """Return a small file's text without white space at its ends."""
    with open(path) as file:  # noqa: PTH123 - pathlib is slow to import where this runs
        return file.read().strip()


def link(fd: int, event: int, what: str, cookie: int = 0) -> Link:
    """Let a perf event run a program: by a link (Linux commit b89fbfbb854c, v5.15), or by ioctl(2).

    ``cookie`` is what the program gets from bpf_get_attach_cookie(); such a link has no older way.
    Takes the event over: it is closed with the link, or at once where this raises NotAttached.
    """
    made = -1
    try:
        try:
            extra = struct.pack("=Q", cookie)
            made = bpf(abi.LINK_CREATE, abi.link_create(fd, event, ATTACH_TYPE["perf_event"], extra=extra))
        except OSError:  # without links, or refused: the older way tells why
            if cookie:
                raise
            fcntl.ioctl(event, abi.PERF_IOC_SET_BPF, fd)
        fcntl.ioctl(event, abi.PERF_IOC_ENABLE, 0)
    except OSError as e:
        for n in (made, event):
            if n >= 0:
                os.close(n)
        raise outcome.refused(what, e) from e
    return Link(made, also=(event,))


def retprobe_bit(folder: str) -> int:
    """Return the config of a probe at a function's return, as the kernel's description of the events says."""
    return 1 << int(read(f"{folder}/format/retprobe").rpartition(":")[2])


def by_tracefs(fd: int, kind: str, place: str, what: str, *, at_return: bool) -> Link:
    """Attach through tracefs: the way before perf PMUs for probes (Linux commits e12f03d7031a, 33ea4b24277b, v4.17).

    ``kind`` is kprobe or uprobe, ``place`` is written as tracefs takes it. Raises OSError where the kernel takes no
    such probe, NotAttached where it lets no program run there.
    """
    root, letter, name = tracefs(), "r" if at_return else "p", f"everykernel_{os.getpid()}_{next(_numbers)}"
    _append(f"{root}/{kind}_events", f"{letter}:{name} {place}\n")

    def undo() -> None:
        with contextlib.suppress(OSError):
            _append(f"{root}/{kind}_events", f"-:{name}\n")

    try:
        event = int(read(f"{root}/events/{kind}s/{name}/id"))
        held = link(fd, perf_event_open(abi.perf_event(abi.PERF_TYPE_TRACEPOINT, event), -1, 0), what)
    except (OSError, NotAttached):
        undo()
        raise

    def both() -> None:
        held.close()
        undo()

    return Link(-1, both)


def _append(path: str, line: str) -> None:
    """Add a line to a file of tracefs, which refuses to seek to its end, as open() does for "a"."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, line.encode("utf-8", "surrogateescape"))
    finally:
        os.close(file)


def traceable() -> set[str]:
    """Return the functions that ftrace lists. Raises OSError where it lists none, NotAttached without tracefs."""
    return {line.split()[0] for line in read(f"{tracefs()}/available_filter_functions").splitlines()}


def event(fd: int, target: str) -> Link:
    """Attach to a software event, ``EVENT[:PERIOD]``, in every task on every processor."""
    name, _, period_text = target.partition(":")
    if name not in _SOFTWARE:
        raise NotAttached(
            f"perf event {target}: is none of {', '.join(_SOFTWARE)}", code="attach-target-missing", status="failed"
        )
    number = _SOFTWARE.index(name)
    period = _CLOCK_PERIOD if number < 2 else 1
    if period_text:
        period = outcome.number(period_text, f"perf event {target}", range(1, 1 << 63))
    links: list[Link] = []
    try:
        for cpu in range(os.cpu_count() or 1):
            attributes = abi.perf_event(abi.PERF_TYPE_SOFTWARE, number, period=period)
            links.append(link(fd, perf_event_open(attributes, -1, cpu), f"perf event {target}"))
    except (OSError, NotAttached) as e:
        for opened in links:
            opened.close()
        raise (e if isinstance(e, NotAttached) else outcome.refused(f"perf event {target}", e)) from e

    def undo() -> None:
        for opened in links:
            opened.close()

    return Link(-1, undo)
