"""Attaching to a route, whose packets run through a program: light-weight tunnels.

Sources: net/core/lwt_bpf.c, net/ipv6/seg6_local.c, include/uapi/linux/lwtunnel.h, seg6_local.h and rtnetlink.h.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import errno
import struct
from typing import TYPE_CHECKING

from everykernel.load.attach import outcome
from everykernel.load.attach.net import index_of
from everykernel.load.attach.outcome import Link, NotAttached, needs
from everykernel.load.system import netlink
from everykernel.load.system.errnos import error_name

if TYPE_CHECKING:
    from everykernel.load.attach.places import Places
    from everykernel.load.system.door import System
    from everykernel.object.sections import SectionRule

_HOOKS = {"lwt_in": 1, "lwt_out": 2, "lwt_xmit": 3, "lwt_seg6local": 8}  # LWT_BPF_…, SEG6_LOCAL_BPF
_PROG_FD, _PROG_NAME = 1, 2
_RTA_DST, _RTA_OIF, _RTA_ENCAP_TYPE, _RTA_ENCAP = 1, 4, 21, 22
_ENCAP_BPF, _ENCAP_SEG6_LOCAL = 6, 7
_SEG6_ACTION, _SEG6_END_BPF = 1, 15
_TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_LINK, _UNICAST = 254, 4, 253, 1
_NAME = "everykernel"


def attach(fd: int, target: str, rule: SectionRule, places: Places) -> Link:
    """Add a route ``PREFIX dev INTERFACE``, its packets run through the program; closing the link removes it."""
    system, route = places.system, places.system.netlink
    words = target.split()
    if len(words) != 3 or words[1] != "dev":
        raise needs("it attaches to a route: give a new one as PREFIX dev INTERFACE")
    message = _message(system, words[0], index_of(system, words[2]))
    program = route.attribute(_PROG_FD, fd) + route.attribute(_PROG_NAME, _NAME)
    kind, options = _ENCAP_BPF, route.nest(_HOOKS[rule.type], program)
    if rule.type == "lwt_seg6local":
        kind, options = _ENCAP_SEG6_LOCAL, options + route.attribute(_SEG6_ACTION, _SEG6_END_BPF)
    tunnel = route.attribute(_RTA_ENCAP_TYPE, route.pack("H", kind)) + route.nest(_RTA_ENCAP, options)
    try:
        route.request(netlink.NEWROUTE, message + tunnel, netlink.CREATE | netlink.EXCL)
    except OSError as e:
        if e.errno == errno.EOPNOTSUPP:
            raise NotAttached(
                f"route {target}: {error_name(e.errno)}: {e.strerror}", code="kernel-config-missing", number=e.errno
            ) from e
        raise outcome.refused(f"route {target}", e, str(e.strerror)) from e

    def undo() -> None:
        with contextlib.suppress(OSError):  # it goes with its interface
            route.request(netlink.DELROUTE, message)

    return Link(system, -1, undo)


def _message(system: System, prefix: str, index: int) -> bytes:
    """Return a struct rtmsg with destination and interface; raise NotAttached for what is no prefix."""
    name, _, bits = prefix.partition("/")
    route = system.netlink
    try:
        family, address = route.address(name)
        length = int(bits) if bits else 8 * len(address)
        head = route.pack("BBBBBBBBI", family, length, 0, 0, _TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_LINK, _UNICAST, 0)
    except (OSError, ValueError, struct.error) as e:
        raise NotAttached(f"route to {prefix}: is no prefix", code="attach-target-missing") from e
    return head + route.attribute(_RTA_DST, address) + route.attribute(_RTA_OIF, index)
