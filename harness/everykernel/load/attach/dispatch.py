"""Attaching programs: each way that a section's rule names, as one function that returns an open link.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Optional

from everykernel.load.attach import cgroup, many, net, outcome, probe, route, tracing, traffic
from everykernel.load.attach.outcome import Link, NotAttached, needs
from everykernel.load.programs import replace
from everykernel.load.system import abi
from everykernel.load.system.syscalls import address, bpf
from everykernel.object import sections

if TYPE_CHECKING:
    from everykernel.btf import Btf
    from everykernel.load.attach import usdt
    from everykernel.load.attach.operations import Registration
    from everykernel.load.kernel.types import KernelTypes
    from everykernel.load.loaded import Program
    from everykernel.load.maps.map import Map
    from everykernel.object import ProgramSpec
    from everykernel.object.sections import SectionRule


class Places:
    """Where the programs of one object attach to that name no place: made when first asked for, closed with it.

    Args:
        maps: the object's, by name.
        programs: likewise.

    Attributes:
        operations: the object's operations structs.
        kernel: what the object was loaded into, None where nobody said.
    """

    def __init__(self, maps: Mapping[str, Map], programs: Mapping[str, Program]) -> None:
        self.programs = programs
        self.operations: list[Registration] = []
        self.kernel: Optional[KernelTypes] = None
        self._maps = maps
        self._cgroup: Optional[cgroup.OwnCgroup] = None
        self._clsact: list[Callable[[], None]] = []
        self._usdt: Optional[usdt.Manager] = None

    def cgroup(self) -> str:
        """Return the path of a cgroup of the object's own, with the calling process in it."""
        if self._cgroup is None:
            self._cgroup = cgroup.OwnCgroup()
        return self._cgroup.path

    def clsact(self, index: int, interface: str) -> None:
        """Give an interface the queueing discipline that filters hang on, if it has none."""
        self._clsact.append(traffic.make_clsact(index, interface))

    def map(self, target: str) -> int:
        """Return the descriptor of the map in ``map:NAME``; raise NotAttached where that is none."""
        word, _, name = target.partition(":")
        fd = self._maps[name].fd if word == "map" and name in self._maps else -1
        if fd < 0:
            raise needs("it attaches to a map: give one of the object's as map:NAME")
        return fd

    def types(self, module: str) -> Optional[Btf]:
        """Return the BTF of the kernel ("") or of one of its modules, None where there is none."""
        if self.kernel is None or not module:
            return self.kernel and self.kernel.vmlinux
        return next((btf for btf in self.kernel.target.modules if btf.name == module), None)

    def usdt(self) -> usdt.Manager:
        """Return what keeps account of the object's USDT probes; raise NotAttached where its maps are not there."""
        if self._usdt is None:
            from everykernel.load.attach import usdt

            self._usdt = usdt.Manager(self._maps)
        return self._usdt

    def close(self) -> None:
        """Leave and remove the cgroup, remove the queueing disciplines."""
        while self._clsact:
            self._clsact.pop()()
        if self._cgroup is not None:
            self._cgroup.close()
            self._cgroup = None


def attach(program: ProgramSpec, fd: int, target: str, places: Places) -> Link:
    """Attach a loaded program to ``target``, to what its section names, or to what stands for that by default.

    By default: cgroup programs to a fresh cgroup with the calling process in it, XDP, tcx, tc/ingress and tc/egress
    programs to the loopback interface, programs of a network namespace to the caller's, perf event programs to the
    clock of every processor.

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


def _iterator(fd: int, target: str, _: SectionRule, places: Places) -> Link:
    """Make an iterator's link; iterators over a map's elements take ``map:NAME``."""
    if target in _MAP_ITERATORS:
        raise needs("it prints a map: give one of the object's as map:NAME")
    if not target.startswith("map:"):
        return outcome.create(fd, 0, "trace_iter", f"iterator {target}")
    info = bytearray(places.map(target).to_bytes(4, sys.byteorder))
    extra = struct.pack("=QI", address(info), len(info))
    return outcome.create(fd, 0, "trace_iter", f"iterator over {target}", extra=extra)


def _cgroup(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    path = target if target.startswith("/") else places.cgroup()  # lsm_cgroup's target is the hook
    return cgroup.attach(fd, path, rule.attach_type)


def _usdt(fd: int, target: str, _: SectionRule, places: Places) -> Link:
    if not target:
        raise needs("its section names no target: give one as file:provider:name")
    return places.usdt().attach(fd, target)


def _replacement(fd: int, target: str, _: SectionRule, places: Places) -> Link:
    return replace.attach(fd, target, places.programs)


def _operations(fd: int, _: str, __: SectionRule, places: Places) -> Link:
    for operations in places.operations:
        if operations.holds(fd):
            return operations.attach()
    raise needs("no operations struct of the object points to it")


def _cgroup_packets(fd: int, target: str, __: SectionRule, places: Places) -> Link:
    path, _, way = target.rpartition(":")
    if way not in ("ingress", "egress"):
        raise needs("it attaches to one way into or out of a cgroup: give it as [PATH:]ingress or [PATH:]egress")
    return cgroup.attach(fd, path or places.cgroup(), f"cgroup_inet_{way}")


def _sockets_of_map(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    return outcome.prog_attach(fd, places.map(target), rule.attach_type or "sk_skb_stream_verdict", target)


def _netfilter(fd: int, target: str, _: SectionRule, __: Places) -> Link:
    if not target:
        raise needs("it attaches to a hook: give one as family/hook[:priority]")
    return net.netfilter(fd, target)


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
    sections.KPROBE: tracing.kprobe,
    sections.KRETPROBE: lambda fd, target: tracing.kprobe(fd, target, at_return=True),
    sections.KSYSCALL: tracing.syscall,
    sections.KRETSYSCALL: lambda fd, target: tracing.syscall(fd, target, at_return=True),
    sections.TRACEPOINT: tracing.tracepoint,
    sections.RAW_TRACEPOINT: tracing.raw_tracepoint,
    sections.TRACE: tracing.trace,
    sections.LSM: tracing.lsm,
}
"""By how a section's rule says that it attaches."""

_OTHERS: dict[str, Callable[[int, str, SectionRule, Places], Link]] = {
    "uprobe": _code(probe.uprobe, typed=False),
    "uprobe.s": _code(probe.uprobe, typed=False),
    "uretprobe": _code(probe.uprobe, typed=False, at_return=True),
    "uretprobe.s": _code(probe.uprobe, typed=False, at_return=True),
    "kprobe.multi": _code(probe.kprobe_multi),
    "kretprobe.multi": _code(probe.kprobe_multi, at_return=True),
    "kprobe.session": _code(probe.kprobe_multi),
    "uprobe.multi": _code(probe.uprobe_multi),
    "uprobe.multi.s": _code(probe.uprobe_multi),
    "uretprobe.multi": _code(probe.uprobe_multi, at_return=True),
    "uretprobe.multi.s": _code(probe.uprobe_multi, at_return=True),
    "uprobe.session": _code(probe.uprobe_multi),
    "uprobe.session.s": _code(probe.uprobe_multi),
    "usdt": _usdt,
    "usdt.s": _usdt,
    "freplace": _replacement,
    "struct_ops": _operations,
    "struct_ops.s": _operations,
    "perf_event": lambda fd, target, _, __: probe.perf_event(fd, target or "cpu-clock"),
    "trace_iter": _iterator,
    **dict.fromkeys(sections.MANY_FUNCTIONS, many.attach),
    **{name: _cgroup for name in sections.ATTACH_TYPES if name.startswith("cgroup_")},
    "cgroup/skb": _cgroup_packets,
    "lsm_cgroup": _cgroup,
    "xdp": lambda fd, target, _, __: net.xdp(fd, target or "lo"),
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
    "sk_lookup": lambda fd, target, rule, _: net.namespace(fd, target or _NETWORK, rule.attach_type),
    "flow_dissector": lambda fd, target, rule, _: net.namespace(fd, target or _NETWORK, rule.attach_type),
    "socket_filter": lambda fd, target, rule, _: net.by_option(fd, target, rule.type),
    "sk_reuseport_select": lambda fd, target, rule, _: net.by_option(fd, target, rule.type),
    "sk_reuseport_select_or_migrate": lambda fd, target, rule, _: net.by_option(fd, target, rule.type),
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
