"""Attaching programs: each way that a section's rule names, as one function that returns an open link.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Optional

from everykernel.load import abi, attach_cgroup, attach_net, attach_probe, attached
from everykernel.load.attach_probe import perf, read
from everykernel.load.attach_probe import tracefs as tracefs  # others find it here
from everykernel.load.attached import Link, NotAttached, needs
from everykernel.load.syscalls import ENOTSUPP, address, architecture, bpf, error_name, perf_event_open
from everykernel.object import sections

if TYPE_CHECKING:
    from everykernel.object import ProgramSpec
    from everykernel.object.sections import SectionRule

_PROBES = "/sys/bus/event_source/devices/kprobe"


class Places:
    """Where the programs of one object attach to that name no place: made when first asked for, closed with it.

    Args:
        map_fd: returns the descriptor of one of the object's maps by its name, -1 for none.
    """

    def __init__(self, map_fd: Callable[[str], int]) -> None:
        self._map_fd = map_fd
        self._cgroup: Optional[attach_cgroup.OwnCgroup] = None

    def cgroup(self) -> str:
        """Return the path of a cgroup of the object's own, with the calling process in it."""
        if self._cgroup is None:
            self._cgroup = attach_cgroup.OwnCgroup()
        return self._cgroup.path

    def map(self, target: str) -> int:
        """Return the descriptor of the map in ``map:NAME``; raise NotAttached where that is none."""
        word, _, name = target.partition(":")
        fd = self._map_fd(name) if word == "map" else -1
        if fd < 0:
            raise needs("it attaches to a map: give one of the object's as map:NAME")
        return fd

    def close(self) -> None:
        """Leave and remove the cgroup."""
        if self._cgroup is not None:
            self._cgroup.close()
            self._cgroup = None


def attach(program: ProgramSpec, fd: int, target: str, places: Places) -> Link:
    """Attach a loaded program to ``target``, to what its section names, or to what stands for that by default.

    By default: cgroup programs to a fresh cgroup with the calling process in it, XDP and tcx programs to the loopback
    interface, programs of a network namespace to the caller's, perf event programs to the clock of every processor.

    Raises NotAttached, with status ``skipped`` for programs that attach only to what a caller names.
    """
    rule = program.rule
    if rule is None:
        raise NotAttached(f"section {program.section!r} stands for no program type", code="object-unsupported")
    target = target or program.target
    how = _WAYS.get(rule.how)
    if how is not None:
        if not target:
            raise needs("its section names no target: give one")
        return how(fd, target)
    other = _OTHERS.get(rule.stem) or _OTHERS.get(rule.attach_type) or _OTHERS.get(rule.type)
    if other is None:
        if rule.type in _BY_TEST_RUN:
            raise needs("it attaches to no one thing: run it by test_run, or put it into a map")
        kind = f"{rule.type} {rule.attach_type}".strip()
        raise NotAttached(
            f"attaching {kind} programs is not implemented", status="skipped", code="attach-type-unsupported"
        )
    return other(fd, target, rule, places)


def read_iterator(link: Link, limit: int = 64 << 20) -> bytes:
    """Return all that an iterator's program prints. Raises OSError; EFBIG beyond ``limit`` bytes."""
    iterator = bpf(abi.ITER_CREATE, abi.words(link.fd, 0))
    try:
        found = bytearray()
        while chunk := os.read(iterator, 1 << 16):
            found += chunk
            if len(found) > limit:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return bytes(found)
    finally:
        os.close(iterator)


def _kprobe(fd: int, target: str, *, at_return: bool = False) -> Link:
    function, _, offset_text = target.partition("+")
    offset = int(offset_text, 0) if offset_text else 0
    what = f"{'kretprobe' if at_return else 'kprobe'} {target}"
    try:
        type_ = int(read(f"{_PROBES}/type"))
    except FileNotFoundError:
        return _legacy_kprobe(fd, function, offset, at_return=at_return)
    config = 0
    if at_return:
        config = attach_probe.retprobe_bit(_PROBES)
    name = bytearray(function.encode("utf-8", "surrogateescape") + b"\0")
    try:
        event = perf_event_open(abi.perf_event(type_, config, one=address(name), two=offset), -1, 0)
    except OSError as e:
        raise _no_probe(what, function, e) from e
    return perf(fd, event, what)


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
        number = int(read(f"{root}/events/kprobes/{name}/id"))
        event = perf_event_open(abi.perf_event(abi.PERF_TYPE_TRACEPOINT, number), -1, 0)
        link = perf(fd, event, what)
    except (OSError, NotAttached) as e:
        undo()
        raise (e if isinstance(e, NotAttached) else attached.refused(what, e)) from e

    def both() -> None:
        link.close()
        undo()

    return Link(-1, both)


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
        number = int(read(f"{tracefs()}/events/{category}/{name}/id"))
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
    return perf(fd, event, what)


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


def _lsm(fd: int, target: str) -> Link:
    """Attach to a security hook, where the kernel calls BPF there: what would never run is not attached."""
    try:
        active = read("/sys/kernel/security/lsm")
    except OSError:
        active = ""  # without securityfs nobody can tell
    if active and "bpf" not in active.split(","):
        raise NotAttached(
            f"{target}: bpf is not among the active security modules ({active}): the program would never run",
            code="kernel-config-missing",
        )
    return _trace(fd, target)


def _iterator(fd: int, target: str, _: SectionRule, places: Places) -> Link:
    """Make an iterator's link; iterators over a map's elements take ``map:NAME``."""
    if not target.startswith("map:"):
        return attached.create(fd, 0, "trace_iter", f"iterator {target}")
    info = bytearray(places.map(target).to_bytes(4, sys.byteorder))
    extra = struct.pack("=QI", address(info), len(info))
    return attached.create(fd, 0, "trace_iter", f"iterator over {target}", extra=extra)


def _cgroup(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    path = target if target.startswith("/") else places.cgroup()  # lsm_cgroup's target is the hook
    return attach_cgroup.attach(fd, path, rule.attach_type)


def _sockets_of_map(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    return attached.prog_attach(fd, places.map(target), rule.attach_type, target)


def _netfilter(fd: int, target: str, _: SectionRule, __: Places) -> Link:
    if not target:
        raise needs("it attaches to a hook: give one as family/hook[:priority]")
    return attach_net.netfilter(fd, target)


def _code(
    way: Callable[..., Link], *, at_return: bool = False, typed: bool = True
) -> Callable[[int, str, SectionRule, Places], Link]:
    """Return a way that needs a target and takes, if ``typed``, the attach type."""

    def attach(fd: int, target: str, rule: SectionRule, _: Places) -> Link:
        if not target:
            raise needs("its section names no target: give one")
        return way(fd, target, *([rule.attach_type] if typed else []), at_return=at_return)

    return attach


_WAYS: dict[str, Callable[[int, str], Link]] = {
    sections.KPROBE: _kprobe,
    sections.KRETPROBE: lambda fd, target: _kprobe(fd, target, at_return=True),
    sections.KSYSCALL: _syscall,
    sections.KRETSYSCALL: lambda fd, target: _syscall(fd, target, at_return=True),
    sections.TRACEPOINT: _tracepoint,
    sections.RAW_TRACEPOINT: _raw_tracepoint,
    sections.TRACE: _trace,
    sections.LSM: _lsm,
}
"""By how a section's rule says that it attaches."""

_OTHERS: dict[str, Callable[[int, str, SectionRule, Places], Link]] = {
    "uprobe": _code(attach_probe.uprobe, typed=False),
    "uprobe.s": _code(attach_probe.uprobe, typed=False),
    "uretprobe": _code(attach_probe.uprobe, typed=False, at_return=True),
    "uretprobe.s": _code(attach_probe.uprobe, typed=False, at_return=True),
    "kprobe.multi": _code(attach_probe.kprobe_multi),
    "kretprobe.multi": _code(attach_probe.kprobe_multi, at_return=True),
    "kprobe.session": _code(attach_probe.kprobe_multi),
    "uprobe.multi": _code(attach_probe.uprobe_multi),
    "uprobe.multi.s": _code(attach_probe.uprobe_multi),
    "uretprobe.multi": _code(attach_probe.uprobe_multi, at_return=True),
    "uretprobe.multi.s": _code(attach_probe.uprobe_multi, at_return=True),
    "uprobe.session": _code(attach_probe.uprobe_multi),
    "uprobe.session.s": _code(attach_probe.uprobe_multi),
    "perf_event": lambda fd, target, _, __: attach_probe.perf_event(fd, target or "cpu-clock"),
    "trace_iter": _iterator,
    **{name: _cgroup for name in sections.ATTACH_TYPES if name.startswith("cgroup_")},
    "lsm_cgroup": _cgroup,
    "xdp": lambda fd, target, _, __: attach_net.xdp(fd, target or "lo"),
    "tcx_ingress": lambda fd, target, rule, _: attach_net.traffic(fd, target or "lo", rule.attach_type),
    "tcx_egress": lambda fd, target, rule, _: attach_net.traffic(fd, target or "lo", rule.attach_type),
    "sk_lookup": lambda fd, target, rule, _: attach_net.namespace(fd, target or _NETWORK, rule.attach_type),
    "flow_dissector": lambda fd, target, rule, _: attach_net.namespace(fd, target or _NETWORK, rule.attach_type),
    "socket_filter": lambda fd, target, rule, _: attach_net.by_option(fd, target, rule.type),
    "sk_reuseport": lambda fd, target, rule, _: attach_net.by_option(fd, target, rule.type),
    "sk_msg_verdict": _sockets_of_map,
    "sk_skb_stream_parser": _sockets_of_map,
    "sk_skb_stream_verdict": _sockets_of_map,
    "sk_skb_verdict": _sockets_of_map,
    "netfilter": _netfilter,
}
"""The rest, by the section's stem, by attach type, or by program type: the first that is there."""

_NETWORK = "/proc/self/ns/net"
_BY_TEST_RUN = frozenset({"xdp", "sched_cls", "sched_act", "cgroup_skb", "syscall"})
