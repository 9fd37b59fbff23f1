"""Attaching to the kernel's own code: probes, tracepoints, trampolines, security hooks.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from everykernel.btf import kinds
from everykernel.load.attach import outcome, perf
from everykernel.load.attach.outcome import Link, NotAttached
from everykernel.load.kernel import tracefs
from everykernel.load.kernel.releases import upstream
from everykernel.load.kernel.types import find_type
from everykernel.load.system import abi
from everykernel.load.system.block import text
from everykernel.load.system.errnos import ENOTSUPP, error_name

if TYPE_CHECKING:
    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.system.door import System

_PROBES = "/sys/bus/event_source/devices/kprobe"
_FEW = 6  # arguments that every trampoline passes on; more since Linux commit 473e3150e30a (v6.6)


def kprobe(system: System, fd: int, target: str, *, at_return: bool = False) -> Link:
    """Attach to ``FUNCTION[+OFFSET]``."""
    function, _, offset_text = target.partition("+")
    what = f"{'kretprobe' if at_return else 'kprobe'} {target}"
    offset = outcome.number(offset_text or "0", what)
    try:
        type_ = int(system.text(f"{_PROBES}/type"))
    except FileNotFoundError:
        return kprobe_by_tracefs(system, fd, function, offset, at_return=at_return)
    config = 0
    if at_return:
        config = perf.retprobe_bit(system, _PROBES)
    try:
        event = system.perf_event_open(abi.perf_event(type_, config, one=text(function), two=offset), -1, 0)
    except OSError as e:
        raise _no_probe(system, what, function, e) from e
    return perf.link(system, fd, event, what)


def _no_probe(system: System, what: str, function: str, error: OSError) -> NotAttached:
    if error.errno == errno.ENOENT:
        return NotAttached(
            f"{what}: ENOENT: this kernel has no function {function}", code="attach-target-missing", number=errno.ENOENT
        )
    why = (error.errno == errno.EINVAL and _untraceable(system, function)) or "the kernel refuses a probe there"
    return outcome.refused(what, error, why)


def _untraceable(system: System, function: str) -> str:
    """Return why nothing attaches to a function's entry where ftrace does not list it, "" where it does."""
    try:
        listed = perf.traceable(system)
    except (OSError, NotAttached):
        return ""
    if not listed or function in listed:
        return ""
    return f"{function} cannot be traced in this kernel: it is not in available_filter_functions"


def kprobe_by_tracefs(system: System, fd: int, function: str, offset: int = 0, *, at_return: bool = False) -> Link:
    """Attach to an instruction of a function where the kernel has no perf PMU for it."""
    what = f"{'kretprobe' if at_return else 'kprobe'} {function}"
    try:
        return perf.by_tracefs(system, fd, "kprobe", f"{function}+{offset:#x}", what, at_return=at_return)
    except OSError as e:
        raise _no_probe(system, what, function, e) from e


def syscall(system: System, fd: int, target: str, *, at_return: bool = False) -> Link:
    """Probe a system call's function: with the architecture's prefix, or as kernels without wrappers name it."""
    try:
        return kprobe(system, fd, f"{system.architecture.syscall_prefix}sys_{target}", at_return=at_return)
    except NotAttached as e:
        if e.code != "attach-target-missing":
            raise
    return kprobe(system, fd, f"sys_{target}", at_return=at_return)


def tracepoint(system: System, fd: int, target: str) -> Link:
    """Attach to ``CATEGORY/NAME`` of tracefs."""
    what = f"tracepoint {target}"
    category, slash, name = target.partition("/")
    if not slash:
        raise NotAttached(f"{what}: is no category/name", status="failed", code="attach-target-missing")
    try:
        number = int(system.text(f"{tracefs.root(system)}/events/{category}/{name}/id"))
    except OSError as e:
        raise NotAttached(
            f"{what}: {error_name(e.errno)}: this kernel has no such tracepoint",
            code="attach-target-missing",
            number=e.errno or 0,
        ) from e
    try:
        event = system.perf_event_open(abi.perf_event(abi.PERF_TYPE_TRACEPOINT, number), -1, 0)
    except OSError as e:
        raise outcome.refused(what, e, "the kernel opens no event for it") from e
    return perf.link(system, fd, event, what)


def raw_tracepoint(system: System, fd: int, target: str) -> Link:
    """Attach to a tracepoint by its name alone, writable or not."""
    try:
        return Link(system, system.bpf(abi.RAW_TRACEPOINT_OPEN, abi.raw_tracepoint(text(target), fd)))
    except OSError as e:
        if e.errno == errno.ENOENT:
            raise NotAttached(
                f"raw tracepoint {target}: ENOENT: this kernel has no such tracepoint",
                code="attach-target-missing",
                number=errno.ENOENT,
            ) from e
        raise outcome.refused(f"raw tracepoint {target}", e) from e


def trace(kernel: KernelTypes, fd: int, target: str) -> Link:
    """Attach a program whose target was fixed when it was loaded (fentry, fexit, fmod_ret, tp_btf, LSM)."""
    try:
        return Link(kernel.system, kernel.system.bpf(abi.RAW_TRACEPOINT_OPEN, abi.raw_tracepoint(0, fd)))
    except OSError as e:
        if e.errno in (ENOTSUPP, errno.EOPNOTSUPP):
            code, why = "kernel-config-missing", "this kernel has no trampolines"
            count = _arguments(kernel, target)
            if count > _FEW:
                code = "limit-exceeded"
                why = f"it has {count} arguments, more than this kernel's trampolines take (12 {upstream('v6.6')})"
            raise NotAttached(f"attaching to {target}: {error_name(e.errno)}: {why}", code=code, number=e.errno) from e
        why = _untraceable(kernel.system, target) if e.errno == errno.EBUSY else ""
        if why:  # its first bytes are no call that was left out
            raise outcome.refused(f"attaching to {target}", e, why) from e
        raise outcome.refused(f"attaching to {target}", e) from e


def _arguments(kernel: KernelTypes, function: str) -> int:
    """Return how many arguments a function of the kernel has by its BTF, 0 where that does not tell."""
    found = find_type(kernel, function, "func") if kernel.vmlinux is not None else None
    proto = found and found[0].type(found[0].type(found[1]).type)  # type: ignore[union-attr]
    return len(proto.params) if isinstance(proto, kinds.FuncProto) else 0


def lsm(kernel: KernelTypes, fd: int, target: str) -> Link:
    """Attach to a security hook, where the kernel calls BPF there: what would never run is not attached."""
    try:
        active = kernel.system.text("/sys/kernel/security/lsm")
    except OSError:
        active = ""  # without securityfs nobody can tell
    if active and "bpf" not in active.split(","):
        raise NotAttached(
            f"attaching to {target}: bpf is not among the active security modules ({active}): it would never run",
            code="kernel-config-missing",
        )
    return trace(kernel, fd, target)
