"""Attaching programs: each way that a section's rule names, as one function that returns an open link.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Optional

from everykernel.load import abi
from everykernel.load.syscalls import ENOTSUPP, address, architecture, bpf, error_name, perf_event_open
from everykernel.object import sections

if TYPE_CHECKING:
    from everykernel.object import ProgramSpec

_PROBES = "/sys/bus/event_source/devices/kprobe"
_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")


class NotAttached(Exception):
    """A program was not attached: ``status`` is failed or skipped, ``code`` the reason code."""

    def __init__(self, message: str, *, code: str = "attach-failed", status: str = "failed", number: int = 0) -> None:
        super().__init__(message)
        self.message, self.code, self.status, self.errno = message, code, status, number


class Link:
    """What holds a program attached; closing it detaches.

    ``undo`` runs after the descriptor is closed (it removes a tracefs probe).
    """

    def __init__(self, fd: int, undo: Optional[Callable[[], None]] = None) -> None:
        self._fd = fd
        self._undo = undo

    def close(self) -> None:
        """Detach."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            if self._undo is not None:
                self._undo()


def attach(program: ProgramSpec, fd: int, target: str) -> Link:
    """Attach a loaded program; ``target`` stands for what the section names. Raises NotAttached."""
    rule = program.rule
    how = _WAYS.get(rule.how) if rule is not None else None
    target = target or program.target
    if rule is None or how is None:
        if rule is not None and rule.type in _BY_TEST_RUN:
            raise NotAttached("it attaches to a device or socket: run it by test_run", status="skipped", code="")
        kind = f"{rule.type} {rule.attach_type}".strip() if rule is not None else program.section
        raise NotAttached(
            f"attaching {kind} programs is not implemented", status="skipped", code="attach-type-unsupported"
        )
    if not target:
        raise NotAttached("its section names no target: give one", status="skipped", code="")
    return how(fd, target)


def tracefs() -> str:
    """Return where tracefs is mounted."""
    return next((path for path in _TRACEFS if os.path.isdir(f"{path}/events")), _TRACEFS[0])  # noqa: PTH112


def _read(path: str) -> str:
    with open(path) as file:  # noqa: PTH123 - pathlib is slow to import where this runs
        return file.read().strip()


def _perf(fd: int, event: int, what: str) -> int:
    """Let a perf event run a program; return the event's descriptor."""
    try:
        fcntl.ioctl(event, abi.PERF_IOC_SET_BPF, fd)
        fcntl.ioctl(event, abi.PERF_IOC_ENABLE, 0)
    except OSError as e:
        os.close(event)
        raise NotAttached(
            f"{what}: {error_name(e.errno)}: the kernel refuses the program there", number=e.errno or 0
        ) from e
    return event


def _kprobe(fd: int, target: str, *, at_return: bool = False) -> Link:
    function, _, offset_text = target.partition("+")
    offset = int(offset_text, 0) if offset_text else 0
    what = f"{'kretprobe' if at_return else 'kprobe'} {target}"
    try:
        type_ = int(_read(f"{_PROBES}/type"))
    except FileNotFoundError:
        return _legacy_kprobe(fd, function, offset, at_return=at_return)
    config = 0
    if at_return:
        config = 1 << int(_read(f"{_PROBES}/format/retprobe").rpartition(":")[2])
    name = bytearray(function.encode("utf-8", "surrogateescape") + b"\0")
    try:
        event = perf_event_open(abi.perf_event(type_, config, one=address(name), two=offset), -1, 0)
    except OSError as e:
        raise _no_probe(what, function, e) from e
    return Link(_perf(fd, event, what))


def _no_probe(what: str, function: str, error: OSError) -> NotAttached:
    name = error_name(error.errno)
    if error.errno == errno.ENOENT:
        return NotAttached(
            f"{what}: {name}: this kernel has no function {function}",
            code="attach-target-missing",
            number=error.errno or 0,
        )
    return NotAttached(f"{what}: {name}: the kernel refuses a probe there", number=error.errno or 0)


def _legacy_kprobe(fd: int, function: str, offset: int, *, at_return: bool) -> Link:
    """Attach through tracefs, where the kernel has no perf PMU for probes (before Linux commit e12f03d7031a, v4.17)."""
    root = tracefs()
    kind = "r" if at_return else "p"
    name = f"everykernel_{os.getpid()}_{fd}_{kind}"
    what = f"kprobe {function}"
    try:
        with open(f"{root}/kprobe_events", "a") as file:  # noqa: PTH123
            file.write(f"{kind}:{name} {function}+{offset:#x}\n")
    except OSError as e:
        raise _no_probe(what, function, e) from e

    def undo() -> None:
        with contextlib.suppress(OSError), open(f"{root}/kprobe_events", "a") as file:  # noqa: PTH123
            file.write(f"-:{name}\n")

    try:
        number = int(_read(f"{root}/events/kprobes/{name}/id"))
        event = perf_event_open(abi.perf_event(abi.PERF_TYPE_TRACEPOINT, number), -1, 0)
        return Link(_perf(fd, event, what), undo)
    except OSError as e:
        undo()
        raise NotAttached(f"{what}: {error_name(e.errno)}", number=e.errno or 0) from e


def _syscall(fd: int, target: str, *, at_return: bool = False) -> Link:
    """Probe a system call's function: with the architecture's prefix, or as kernels without wrappers name it."""
    try:
        return _kprobe(fd, f"{architecture().syscall_prefix}sys_{target}", at_return=at_return)
    except NotAttached as e:
        if e.code != "attach-target-missing":
            raise
    return _kprobe(fd, f"sys_{target}", at_return=at_return)


def _tracepoint(fd: int, target: str) -> Link:
    what = f"tracepoint {target}"
    category, slash, name = target.partition("/")
    if not slash:
        raise NotAttached(f"{what}: is no category/name", status="failed", code="attach-target-missing")
    try:
        number = int(_read(f"{tracefs()}/events/{category}/{name}/id"))
    except OSError as e:
        raise NotAttached(
            f"{what}: {error_name(e.errno)}: this kernel has no such tracepoint",
            code="attach-target-missing",
            number=e.errno or 0,
        ) from e
    try:
        event = perf_event_open(abi.perf_event(abi.PERF_TYPE_TRACEPOINT, number), -1, 0)
    except OSError as e:
        raise NotAttached(
            f"{what}: {error_name(e.errno)}: the kernel opens no event for it", number=e.errno or 0
        ) from e
    return Link(_perf(fd, event, what))


def _raw_tracepoint(fd: int, target: str) -> Link:
    name = bytearray(target.encode("utf-8", "surrogateescape") + b"\0")
    try:
        return Link(bpf(abi.RAW_TRACEPOINT_OPEN, abi.raw_tracepoint(address(name), fd)))
    except OSError as e:
        if e.errno == errno.ENOENT:
            raise NotAttached(
                f"raw tracepoint {target}: ENOENT: this kernel has no such tracepoint",
                code="attach-target-missing",
                number=errno.ENOENT,
            ) from e
        raise NotAttached(f"raw tracepoint {target}: {error_name(e.errno)}", number=e.errno or 0) from e


def _trace(fd: int, target: str) -> Link:
    """Attach a program whose target was fixed when it was loaded (fentry, fexit, fmod_ret, tp_btf, LSM)."""
    try:
        return Link(bpf(abi.RAW_TRACEPOINT_OPEN, abi.raw_tracepoint(0, fd)))
    except OSError as e:
        name = error_name(e.errno)
        if e.errno in (ENOTSUPP, errno.EOPNOTSUPP):
            raise NotAttached(
                f"{target}: {name}: this kernel has no trampolines", code="kernel-config-missing", number=e.errno
            ) from e
        raise NotAttached(f"{target}: {name}: the kernel refuses the program there", number=e.errno or 0) from e


_WAYS: dict[str, Callable[[int, str], Link]] = {
    sections.KPROBE: _kprobe,
    sections.KRETPROBE: lambda fd, target: _kprobe(fd, target, at_return=True),
    sections.KSYSCALL: _syscall,
    sections.KRETSYSCALL: lambda fd, target: _syscall(fd, target, at_return=True),
    sections.TRACEPOINT: _tracepoint,
    sections.RAW_TRACEPOINT: _raw_tracepoint,
    sections.TRACE: _trace,
    sections.LSM: _trace,
}
_BY_TEST_RUN = frozenset({"xdp", "socket_filter", "sched_cls", "sched_act", "cgroup_skb", "syscall", "flow_dissector"})
