"""Attaching to events of perf: by a link or ioctl(2), through tracefs, and to what the kernel counts.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.load.attach import outcome
from everykernel.load.attach.outcome import Link, NotAttached
from everykernel.load.kernel import tracefs
from everykernel.load.system import abi
from everykernel.object.sections import ATTACH_TYPE

if TYPE_CHECKING:
    from everykernel.load.system.door import System

# enum perf_sw_ids of include/uapi/linux/perf_event.h, and perf's names for them
_SOFTWARE = (
    "cpu-clock", "task-clock", "page-faults", "context-switches", "cpu-migrations", "minor-faults", "major-faults",
    "alignment-faults", "emulation-faults",
)  # fmt: skip
_CLOCK_PERIOD = 1_000_000  # ns between two samples of a clock


def link(system: System, fd: int, event: int, what: str, cookie: int = 0) -> Link:
    """Let a perf event run a program: by a link (Linux commit b89fbfbb854c, v5.15), or by ioctl(2).

    ``cookie`` is what the program gets from bpf_get_attach_cookie(); such a link has no older way.
    Takes the event over: it is closed with the link, or at once where this raises NotAttached.
    """
    made = -1
    try:
        try:
            attributes = abi.link_create(fd, event, ATTACH_TYPE["perf_event"], extra=("Q", cookie))
            made = system.bpf(abi.LINK_CREATE, attributes)
        except OSError:  # without links, or refused: the older way tells why
            if cookie:
                raise
            system.ioctl(event, abi.PERF_IOC_SET_BPF, fd)
        system.ioctl(event, abi.PERF_IOC_ENABLE)
    except OSError as e:
        for n in (made, event):
            if n >= 0:
                system.close(n)
        raise outcome.refused(what, e) from e
    return Link(system, made, also=(event,))


def retprobe_bit(system: System, folder: str) -> int:
    """Return the config of a probe at a function's return, as the kernel's description of the events says."""
    return 1 << int(system.text(f"{folder}/format/retprobe").rpartition(":")[2])


def by_tracefs(system: System, fd: int, kind: str, place: str, what: str, *, at_return: bool) -> Link:
    """Attach through tracefs: the way before perf PMUs for probes (Linux commits e12f03d7031a, 33ea4b24277b, v4.17).

    ``kind`` is kprobe or uprobe, ``place`` is written as tracefs takes it. Raises OSError where the kernel takes no
    such probe, NotAttached where it lets no program run there.
    """
    name = tracefs.add(system, kind, place, at_return=at_return)
    try:
        event = tracefs.event(system, kind, name)
        held = link(system, fd, system.perf_event_open(abi.perf_event(abi.PERF_TYPE_TRACEPOINT, event), -1, 0), what)
    except (OSError, NotAttached):
        tracefs.remove(system, kind, name)
        raise

    def both() -> None:
        held.close()
        tracefs.remove(system, kind, name)

    return Link(system, -1, both)


def traceable(system: System) -> set[str]:
    """Return the functions that ftrace lists. Raises OSError where it lists none, NotAttached without tracefs."""
    return {line.split()[0] for line in system.text(f"{tracefs.root(system)}/available_filter_functions").splitlines()}


def event(system: System, fd: int, target: str) -> Link:
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
        for cpu in system.cpus("online"):
            attributes = abi.perf_event(abi.PERF_TYPE_SOFTWARE, number, period=period)
            links.append(link(system, fd, system.perf_event_open(attributes, -1, cpu), f"perf event {target}"))
    except (OSError, NotAttached) as e:
        for opened in links:
            opened.close()
        raise (e if isinstance(e, NotAttached) else outcome.refused(f"perf event {target}", e)) from e

    def undo() -> None:
        for opened in links:
            opened.close()

    return Link(system, -1, undo)
