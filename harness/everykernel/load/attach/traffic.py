"""Attaching to traffic control: by a tcx or netkit link, or by a filter of a clsact queueing discipline.

Sources: net/sched/cls_bpf.c, act_bpf.c, sch_ingress.c; libbpf's bpf_tc_hook_create and bpf_tc_attach ask for the same.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from everykernel.load.attach import outcome
from everykernel.load.attach.net import index_of
from everykernel.load.attach.outcome import Link, NotAttached, needs
from everykernel.load.system import netlink
from everykernel.load.system.errnos import error_name

if TYPE_CHECKING:
    from everykernel.load.attach.places import Places
    from everykernel.load.system.door import System
    from everykernel.load.system.netlink import Netlink
    from everykernel.object.sections import SectionRule

# Linux include/uapi/linux/pkt_sched.h and pkt_cls.h
_CLSACT, _CLSACT_HANDLE = 0xFFFFFFF1, 0xFFFF0000
_HOOKS = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}
_ETH_P_ALL = (3).to_bytes(2, "big")  # in the order of networks
_TCA_KIND, _TCA_OPTIONS = 1, 2
_BPF_ACT, _BPF_OPS_LEN, _BPF_OPS, _BPF_FD, _BPF_NAME, _BPF_FLAGS = 1, 4, 5, 6, 7, 8
_FLAG_ACT_DIRECT = 1  # what the program returns is the verdict
_ACT_KIND, _ACT_OPTIONS, _ACT_BPF_PARMS, _ACT_BPF_FD, _ACT_BPF_NAME = 1, 2, 2, 5, 6
_TC_ACT_UNSPEC = -1  # where the program decides nothing, the next filter does
_MATCH_ALL = ("HBBI", 6, 0, 0, 0xFFFFFFFF)  # a classic BPF_RET | BPF_K
_NAME = "everykernel"


def link(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    """Attach to an interface by a tcx link (Linux commit e420bed02507, v6.6); the loopback interface by default."""
    interface = target or "lo"
    return outcome.create(
        places.system, fd, index_of(places.system, interface), rule.attach_type, f"interface {interface}"
    )


def link_or_filter(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    """Attach to an interface by a tcx link, or by a filter where the kernel has no such links."""
    try:
        return link(fd, target, rule, places)
    except NotAttached as e:
        if e.code != "attach-type-unsupported":
            raise
    return filter_(fd, f"{target or 'lo'}/{rule.attach_type[len('tcx_') :]}", rule, places)


def netkit(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    """Attach to one side of a pair of netkit interfaces, named by its primary (Linux commit 35dfaad7188c, v6.7)."""
    if not target:
        raise needs("it attaches to a netkit interface: give one")
    return link(fd, target, rule, places)


def filter_(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    """Attach to ``INTERFACE/ingress`` or ``INTERFACE/egress`` by a filter: a classifier's result is the verdict."""
    interface, _, hook = target.partition("/")
    if not interface or hook not in _HOOKS:
        raise needs("it attaches to one way of an interface: give it as INTERFACE/ingress or INTERFACE/egress")
    system = places.system
    index = index_of(system, interface)
    places.at_close(make_clsact(system, index, interface))
    if rule.type == "sched_act":
        return _filter(system, index, target, _of_action(system.netlink, fd), "cls_bpf, act_bpf")
    return _filter(system, index, target, _of_classifier(system.netlink, fd), "cls_bpf")


def make_clsact(system: System, index: int, interface: str) -> Callable[[], None]:
    """Give an interface the queueing discipline that filters hang on, if it has none; return what takes it away.

    Raises NotAttached: `module-missing` where the kernel has no such discipline loaded.
    """
    route = system.netlink
    body = _message(route, index, _CLSACT_HANDLE, _CLSACT) + route.attribute(_TCA_KIND, "clsact")
    try:
        route.request(netlink.NEWQDISC, body, netlink.CREATE | netlink.EXCL)
    except OSError as e:
        if e.errno == errno.EEXIST:
            return lambda: None
        raise _refused(interface, e, "sch_ingress") from e
    return lambda: _gone(route, netlink.DELQDISC, body)


def _of_classifier(route: Netlink, fd: int) -> bytes:
    return route.nest(
        _TCA_OPTIONS,
        route.attribute(_BPF_FD, fd),
        route.attribute(_BPF_NAME, _NAME),
        route.attribute(_BPF_FLAGS, _FLAG_ACT_DIRECT),
    )


def _of_action(route: Netlink, fd: int) -> bytes:
    """Return the options of a filter that everything matches, with the action behind it."""
    act = route.nest(
        1,  # the first of a list
        route.attribute(_ACT_KIND, "bpf"),
        route.nest(
            _ACT_OPTIONS,
            route.attribute(_ACT_BPF_PARMS, route.pack("IIiii", 0, 0, _TC_ACT_UNSPEC, 0, 0)),  # struct tc_act_bpf
            route.attribute(_ACT_BPF_FD, fd),
            route.attribute(_ACT_BPF_NAME, _NAME),
        ),
    )
    return route.nest(
        _TCA_OPTIONS,
        route.nest(_BPF_ACT, act),
        route.attribute(_BPF_OPS_LEN, route.pack("H", 1)),
        route.attribute(_BPF_OPS, route.pack(*_MATCH_ALL)),
    )


def _filter(system: System, index: int, where: str, options: bytes, modules: str) -> Link:
    """Add a filter, at a handle and priority of the kernel's choice, and own it."""
    route = system.netlink
    protocol = system.unpack("H", _ETH_P_ALL)[0]
    body = _message(route, index, 0, _HOOKS[where.partition("/")[2]], protocol)
    body += route.attribute(_TCA_KIND, "bpf") + options
    try:
        made = route.request(netlink.NEWTFILTER, body, netlink.CREATE | netlink.EXCL | netlink.ECHO)
    except OSError as e:
        raise _refused(where, e, modules) from e
    handle, parent, info = system.unpack("III", made, 8)
    theirs = _message(route, index, handle, parent, info) + route.attribute(_TCA_KIND, "bpf")
    return Link(system, -1, lambda: _gone(route, netlink.DELTFILTER, theirs))


def _message(route: Netlink, index: int, handle: int, parent: int, info: int = 0) -> bytes:
    """Return a struct tcmsg."""
    return route.pack("BxxxiIII", netlink.UNSPEC, index, handle, parent, info)


def _refused(where: str, error: OSError, modules: str) -> NotAttached:
    """Return why: the kernel says ENOENT to the name of a discipline, classifier or action that it does not have."""
    if error.errno != errno.ENOENT:
        return outcome.refused(f"interface {where}", error, str(error.strerror))
    return NotAttached(
        f"interface {where}: {error_name(error.errno)}: {error.strerror} (modules {modules})",
        code="module-missing",
        number=error.errno,
    )


def _gone(route: Netlink, kind: int, body: bytes) -> None:
    """Take away what may have gone with its discipline or interface."""
    with contextlib.suppress(OSError):
        route.request(kind, body)
