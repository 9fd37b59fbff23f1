"""Attaching programs: each way that a section's rule names, as one function that returns an open link.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Optional

from everykernel.load.attach import cgroup, freplace, many, multi, net, outcome, perf, route, tracing, traffic, uprobe
from everykernel.load.attach.outcome import Link, NotAttached, needs
from everykernel.load.system import abi
from everykernel.load.system.block import Block
from everykernel.load.system.errnos import failure
from everykernel.object import sections

if TYPE_CHECKING:
    from everykernel.load.attach.places import Places
    from everykernel.load.system.door import System
    from everykernel.object import ProgramSpec
    from everykernel.object.sections import SectionRule


def attach(program: ProgramSpec, fd: int, target: str, places: Places, rule: Optional[SectionRule] = None) -> Link:
    """Attach a loaded program to ``target``, to what its section names, or to what stands for that by default.

    ``rule`` says how, as the row of another section (a contract's attach point).

    By default: cgroup programs to a fresh cgroup with the calling process in it, XDP, tcx, tc/ingress and tc/egress
    programs to the loopback interface, programs of a network namespace to the caller's, perf event programs to the
    clock of every processor.

    Raises NotAttached, with status ``skipped`` for programs that attach only to what a caller names.
    """
    target = target or ("" if rule is not None else program.target)
    rule = rule or program.rule
    if rule is None:
        raise NotAttached(f"section {program.section!r} stands for no program type", code="object-unsupported")
    how = _WAYS.get(rule.how)
    if how is not None:
        if not target:
            raise needs("its section names no target: give one")
        return how(places, fd, target)
    other = _OTHERS.get(rule.stem) or _OTHERS.get(rule.attach_type or rule.type)
    if other is None:
        if rule.type in _BY_TEST_RUN:
            raise needs("it attaches to no one thing: run it by test_run, or put it into a map")
        kind = f"{rule.type} {rule.attach_type}".strip()
        raise NotAttached(
            f"attaching {kind} programs is not implemented", status="skipped", code="attach-type-unsupported"
        )
    try:
        return other(fd, target, rule, places)
    except NotAttached as e:
        if not target and e.errno in (errno.EBUSY, errno.EEXIST, errno.E2BIG):  # E2BIG: of a network namespace
            raise needs(f"{e.message}: another program has the place that stands for none; give one") from e
        raise


def read_iterator(system: System, link: Link, limit: int = 64 << 20) -> bytes:
    """Return all that an iterator's program prints. Raises OSError; EFBIG beyond ``limit`` bytes."""
    iterator = system.bpf(abi.ITER_CREATE, abi.words(link.fd, 0))
    try:
        found = bytearray()
        while chunk := system.receive(iterator, 1 << 16):
            found += chunk
            if len(found) > limit:
                raise failure(errno.EFBIG)
        return bytes(found)
    finally:
        system.close(iterator)


def _iterator(fd: int, target: str, _: SectionRule, places: Places) -> Link:
    """Make an iterator's link; iterators over a map's elements take ``map:NAME``."""
    if target in _MAP_ITERATORS:
        raise needs("it prints a map: give one of the object's as map:NAME")
    if not target.startswith("map:"):
        return outcome.create(places.system, fd, 0, "trace_iter", f"iterator {target}")
    extra = ("QI", Block("I", places.map(target)), 4)
    return outcome.create(places.system, fd, 0, "trace_iter", f"iterator over {target}", extra=extra)


def _own_cgroup(places: Places) -> str:
    """Return the path of a cgroup of the object's own, with the calling process in it."""

    def make() -> cgroup.OwnCgroup:
        made = cgroup.OwnCgroup(places.system)
        places.at_close(made.close)
        return made

    return str(places.once("cgroup", make).path)


def _cgroup(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    path = target if target.startswith("/") else _own_cgroup(places)  # lsm_cgroup's target is the hook
    return cgroup.attach(places.system, fd, path, rule.attach_type)


def _function(places: Places, fd: int, target: str, *, at_return: bool) -> Link:
    """Probe a function by the first of the names by which the loader looks for it that the kernel has."""
    *others, last = places.rules.functions(target, places.system.architecture.syscall_prefix)
    for name in others:
        try:
            return tracing.kprobe(places.system, fd, name, at_return=at_return)
        except NotAttached as e:
            if e.code != "attach-target-missing":
                raise
    return tracing.kprobe(places.system, fd, last, at_return=at_return)


def _usdt(fd: int, target: str, _: SectionRule, places: Places) -> Link:
    if not target:
        raise needs("its section names no target: give one as file:provider:name")
    from everykernel.load.attach import usdt  # imported late: few objects need it

    manager: usdt.Manager = places.once("usdt", lambda: usdt.Manager(places.maps, places.kernel))
    return manager.attach(fd, target)


def _replacement(fd: int, target: str, _: SectionRule, places: Places) -> Link:
    return freplace.attach(places.system, fd, target, places.programs)


def _operations(fd: int, _: str, __: SectionRule, places: Places) -> Link:
    for operations in places.operations:
        if operations.holds(fd):
            return operations.attach()
    raise needs("no operations struct of the object points to it")


def _cgroup_packets(fd: int, target: str, __: SectionRule, places: Places) -> Link:
    path, _, way = target.rpartition(":")
    if way not in ("ingress", "egress"):
        raise needs("it attaches to one way into or out of a cgroup: give it as [PATH:]ingress or [PATH:]egress")
    return cgroup.attach(places.system, fd, path or _own_cgroup(places), f"cgroup_inet_{way}")


def _sockets_of_map(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    attach_type = rule.attach_type or "sk_skb_stream_verdict"
    return outcome.prog_attach(places.system, fd, places.map(target), attach_type, target)


def _namespace(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    return net.namespace(places.system, fd, target or _NETWORK, rule.attach_type)


def _socket(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    return net.by_option(places.system, fd, target, rule.type)


def _netfilter(fd: int, target: str, _: SectionRule, places: Places) -> Link:
    if not target:
        raise needs("it attaches to a hook: give one as family/hook[:priority]")
    return net.netfilter(places.system, fd, target)


def _code(
    way: Callable[..., Link], *, at_return: bool = False, typed: bool = True
) -> Callable[[int, str, SectionRule, Places], Link]:
    """Return a way that needs a target and takes, if ``typed``, the attach type."""

    def attach(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
        if not target:
            raise needs("its section names no target: give one")
        return way(places.system, fd, target, *([rule.attach_type] if typed else []), at_return=at_return)

    return attach


_WAYS: dict[str, Callable[[Places, int, str], Link]] = {
    sections.KPROBE: lambda places, fd, target: _function(places, fd, target, at_return=False),
    sections.KRETPROBE: lambda places, fd, target: _function(places, fd, target, at_return=True),
    sections.KSYSCALL: lambda places, fd, target: tracing.syscall(places.system, fd, target),
    sections.KRETSYSCALL: lambda places, fd, target: tracing.syscall(places.system, fd, target, at_return=True),
    sections.TRACEPOINT: lambda places, fd, target: tracing.tracepoint(places.system, fd, target),
    sections.RAW_TRACEPOINT: lambda places, fd, target: tracing.raw_tracepoint(places.system, fd, target),
    sections.TRACE: lambda places, fd, target: tracing.trace(places.kernel, fd, target),
    sections.LSM: lambda places, fd, target: tracing.lsm(places.kernel, fd, target),
}
"""By how a section's rule says that it attaches."""

_OTHERS: dict[str, Callable[[int, str, SectionRule, Places], Link]] = {
    "uprobe": _code(uprobe.uprobe, typed=False),
    "uprobe.s": _code(uprobe.uprobe, typed=False),
    "uretprobe": _code(uprobe.uprobe, typed=False, at_return=True),
    "uretprobe.s": _code(uprobe.uprobe, typed=False, at_return=True),
    "kprobe.multi": _code(multi.kprobes),
    "kretprobe.multi": _code(multi.kprobes, at_return=True),
    "kprobe.session": _code(multi.kprobes),
    "uprobe.multi": _code(multi.uprobes),
    "uprobe.multi.s": _code(multi.uprobes),
    "uretprobe.multi": _code(multi.uprobes, at_return=True),
    "uretprobe.multi.s": _code(multi.uprobes, at_return=True),
    "uprobe.session": _code(multi.uprobes),
    "uprobe.session.s": _code(multi.uprobes),
    "usdt": _usdt,
    "usdt.s": _usdt,
    "freplace": _replacement,
    "struct_ops": _operations,
    "struct_ops.s": _operations,
    "perf_event": lambda fd, target, _, places: perf.event(places.system, fd, target or "cpu-clock"),
    "trace_iter": _iterator,
    **dict.fromkeys(sections.MANY_FUNCTIONS, many.attach),
    **{name: _cgroup for name in sections.ATTACH_TYPES if name.startswith("cgroup_")},
    "cgroup/skb": _cgroup_packets,
    "lsm_cgroup": _cgroup,
    "xdp": lambda fd, target, _, places: net.xdp(places.system, fd, target or "lo"),
    "tcx/ingress": traffic.link,
    "tcx/egress": traffic.link,
    "tc/ingress": traffic.link_or_filter,
    "tc/egress": traffic.link_or_filter,
    "tc": traffic.filter_,
    "classifier": traffic.filter_,
    "action": traffic.filter_,
    "netkit_primary": traffic.netkit,
    "netkit_peer": traffic.netkit,
    "lwt_in": route.attach,
    "lwt_out": route.attach,
    "lwt_xmit": route.attach,
    "lwt_seg6local": route.attach,
    "sk_lookup": _namespace,
    "flow_dissector": _namespace,
    "socket_filter": _socket,
    "sk_reuseport_select": _socket,
    "sk_reuseport_select_or_migrate": _socket,
    "sk_msg_verdict": _sockets_of_map,
    "sk_skb_stream_parser": _sockets_of_map,
    "sk_skb_stream_verdict": _sockets_of_map,
    "sk_skb_verdict": _sockets_of_map,
    "sk_skb": _sockets_of_map,
    "netfilter": _netfilter,
}
"""The rest, by the section's stem, or else by attach type, or by program type where there is no attach type."""

_MAP_ITERATORS = frozenset({"bpf_map_elem", "bpf_sk_storage_map"})
_NETWORK = "/proc/self/ns/net"
_BY_TEST_RUN = frozenset({"xdp", "syscall"})
