"""Attaching to the network: an interface (XDP), the network namespace, a socket, a netfilter hook.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from everykernel.load.attach import outcome
from everykernel.load.attach.outcome import Link, NotAttached, needs
from everykernel.load.system import netlink

if TYPE_CHECKING:
    from everykernel.load.system.door import System

# Linux include/uapi/asm-generic/socket.h
_SOCKET_OPTIONS = {"socket_filter": (50, 27), "sk_reuseport": (52, 68)}  # SO_ATTACH_…, SO_DETACH_…
_IFLA_XDP, _IFLA_XDP_FD, _IFLA_XDP_FLAGS = 43, 1, 3
_XDP_FLAGS_UPDATE_IF_NOEXIST = 1


def index_of(system: System, interface: str) -> int:
    """Return an interface's index; raise NotAttached where there is none."""
    try:
        return system.netlink.index(interface)
    except OSError as e:
        raise NotAttached(
            f"interface {interface}: there is none", code="attach-target-missing", number=e.errno or 0
        ) from e


def xdp(system: System, fd: int, interface: str) -> Link:
    """Attach an XDP program to an interface by a link, or by netlink before Linux commit aa8d3a716b59 (v5.9)."""
    try:
        return outcome.create(system, fd, index_of(system, interface), "xdp", f"interface {interface}")
    except NotAttached as e:
        if e.errno != errno.EINVAL:
            raise
    return xdp_by_netlink(system, fd, interface)


def xdp_by_netlink(system: System, fd: int, interface: str) -> Link:
    """Attach an XDP program to an interface that has none, without a link."""
    index = index_of(system, interface)
    try:
        _set_xdp(system, index, fd, _XDP_FLAGS_UPDATE_IF_NOEXIST)
    except OSError as e:
        raise outcome.refused(f"interface {interface}", e, str(e.strerror)) from e
    return Link(system, -1, lambda: _set_xdp(system, index, -1, 0))


def _set_xdp(system: System, index: int, fd: int, flags: int) -> None:
    """Set an interface's XDP program (-1: none) by RTM_SETLINK. Raises OSError."""
    route = system.netlink
    options = route.attribute(_IFLA_XDP_FD, fd) + route.attribute(_IFLA_XDP_FLAGS, flags)
    body = route.pack("BxHiII", netlink.UNSPEC, 0, index, 0, 0) + route.nest(_IFLA_XDP, options)
    route.request(netlink.SETLINK, body)


def namespace(system: System, fd: int, path: str, attach_type: str) -> Link:
    """Attach to a network namespace by a link, or (flow dissectors before Linux commit 7f045a49fee0, v5.8) without."""
    try:
        target = system.open(path)
    except OSError as e:
        raise NotAttached(
            f"network namespace {path}: there is none", code="attach-target-missing", number=e.errno or 0
        ) from e
    try:
        return outcome.create(system, fd, target, attach_type, f"network namespace {path}")
    except NotAttached as e:
        if e.code != "attach-type-unsupported" or attach_type != "flow_dissector":
            raise
        return outcome.prog_attach(system, fd, 0, attach_type, "the calling process's network namespace")
    finally:
        system.close(target)


def descriptor(target: str) -> int:
    """Return the number in ``fd:NUMBER``; raise NotAttached for anything else."""
    word, _, number = target.partition(":")
    if word != "fd" or not number.isdecimal():
        raise needs("it attaches to a socket of the caller's: give one as fd:NUMBER")
    return outcome.number(number, target, range(1 << 31))


def by_option(system: System, fd: int, target: str, type_: str) -> Link:
    """Attach to a socket (``fd:NUMBER``), which keeps the program until it is closed, or the link is."""
    number = descriptor(target)
    attach, detach = _SOCKET_OPTIONS[type_]
    try:
        own = system.duplicate(number)
    except OSError as e:
        raise outcome.refused(target, e, "it is no socket") from e
    try:
        system.netlink.set_option(own, attach, fd)
    except OSError as e:
        system.close(own)
        if e.errno == errno.ENOTSOCK:
            raise outcome.refused(target, e, "it is no socket") from e
        raise outcome.refused(target, e) from e

    def undo() -> None:
        try:
            system.netlink.set_option(own, detach, 0)
        except OSError as e:
            if e.errno not in (errno.ENOENT, errno.ENOPROTOOPT):  # replaced or removed; a kernel before v5.3
                raise
        finally:
            system.close(own)

    return Link(system, -1, undo)


# Linux include/uapi/linux/netfilter.h: protocol families and enum nf_inet_hooks
_FAMILIES = {"ipv4": 2, "ipv6": 10}
_HOOKS = ("pre_routing", "local_in", "forward", "local_out", "post_routing")


def netfilter(system: System, fd: int, target: str) -> Link:
    """Attach to ``FAMILY/HOOK[:PRIORITY]`` by a link (Linux commit 84601d6ee68a, v6.4)."""
    hook, _, priority = target.partition(":")
    family, _, name = hook.partition("/")
    if family not in _FAMILIES or name not in _HOOKS:
        raise NotAttached(f"netfilter {target}: is no family/hook[:priority]", code="attach-target-missing")
    order = outcome.number(priority or "-128", f"netfilter {target}", range(-1 << 31, 1 << 31))
    extra = ("IIiI", _FAMILIES[family], _HOOKS.index(name), order, 0)
    return outcome.create(system, fd, 0, "netfilter", f"netfilter {target}", extra=extra)
