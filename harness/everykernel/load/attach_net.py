"""Attaching to the network: an interface (XDP, tcx), the network namespace, a socket, a map of sockets.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from everykernel.load import attached
from everykernel.load.attached import Link, NotAttached, needs

# Linux include/uapi/asm-generic/socket.h
_SOCKET_OPTIONS = {"socket_filter": (50, 27), "sk_reuseport": (52, 68)}  # SO_ATTACH_…, SO_DETACH_…
_RTM_SETLINK, _NLM_F_REQUEST, _NLM_F_ACK, _NLMSG_ERROR = 19, 1, 4, 2
_IFLA_XDP, _IFLA_XDP_FD, _IFLA_XDP_FLAGS, _NESTED = 43, 1, 3, 0x8000
_XDP_FLAGS_UPDATE_IF_NOEXIST = 1


def _index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError as e:
        raise NotAttached(
            f"interface {interface}: there is none", code="attach-target-missing", number=e.errno or 0
        ) from e


def xdp(fd: int, interface: str) -> Link:
    """Attach an XDP program to an interface by a link, or by netlink before Linux commit aa8d3a716b59 (v5.9)."""
    index, what = _index(interface), f"interface {interface}"
    try:
        return attached.create(fd, index, "xdp", what)
    except NotAttached as e:
        if e.errno != errno.EINVAL:
            raise
    try:
        _set_xdp(index, fd, _XDP_FLAGS_UPDATE_IF_NOEXIST)
    except OSError as e:
        raise attached.refused(what, e) from e
    return Link(-1, lambda: _set_xdp(index, -1, 0))


def _set_xdp(index: int, fd: int, flags: int) -> None:
    """Set an interface's XDP program (-1: none) by RTM_SETLINK. Raises OSError."""
    inner = struct.pack("=HHiHHI", 8, _IFLA_XDP_FD, fd, 8, _IFLA_XDP_FLAGS, flags)
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, 0)
    body += struct.pack("=HH", 4 + len(inner), _IFLA_XDP | _NESTED) + inner
    head = struct.pack("=IHHII", 16 + len(body), _RTM_SETLINK, _NLM_F_REQUEST | _NLM_F_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as channel:
        channel.sendall(head + body)
        reply = channel.recv(65536)
    kind, error = struct.unpack_from("=4xH10xi", reply)
    if kind == _NLMSG_ERROR and error:
        raise OSError(-error, os.strerror(-error))


def traffic(fd: int, interface: str, attach_type: str) -> Link:
    """Attach a traffic control program by a tcx or netkit link (Linux commit e420bed02507, v6.6).

    Older kernels run such programs only behind a queueing discipline, which needs modules of its own: not done here.
    """
    return attached.create(fd, _index(interface), attach_type, f"interface {interface}")


def namespace(fd: int, path: str, attach_type: str) -> Link:
    """Attach to a network namespace by a link, or (flow dissectors before Linux commit 7f045a49fee0, v5.8) without."""
    try:
        target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        raise NotAttached(
            f"network namespace {path}: there is none", code="attach-target-missing", number=e.errno or 0
        ) from e
    try:
        return attached.create(fd, target, attach_type, f"network namespace {path}")
    except NotAttached as e:
        if e.code != "attach-type-unsupported" or attach_type != "flow_dissector":
            raise
        return attached.prog_attach(fd, 0, attach_type, "the calling process's network namespace")
    finally:
        os.close(target)


def descriptor(target: str) -> int:
    """Return the number in ``fd:NUMBER``; raise NotAttached for anything else."""
    word, _, number = target.partition(":")
    if word != "fd" or not number.isdigit():
        raise needs("it attaches to a socket of the caller's: give one as fd:NUMBER")
    return int(number)


def by_option(fd: int, target: str, type_: str) -> Link:
    """Attach to a socket (``fd:NUMBER``), which keeps the program until it is closed, or the link is."""
    number = descriptor(target)
    attach, detach = _SOCKET_OPTIONS[type_]
    try:
        own = socket.socket(fileno=os.dup(number))
    except OSError as e:
        raise attached.refused(target, e, "it is no socket") from e
    try:
        own.setsockopt(socket.SOL_SOCKET, attach, fd)
    except OSError as e:
        own.close()
        raise attached.refused(target, e) from e

    def undo() -> None:
        try:
            own.setsockopt(socket.SOL_SOCKET, detach, 0)
        except OSError as e:
            if e.errno not in (errno.ENOENT, errno.ENOPROTOOPT):  # replaced or removed; a kernel before v5.3
                raise
        finally:
            own.close()

    return Link(-1, undo)


# Linux include/uapi/linux/netfilter.h: protocol families and enum nf_inet_hooks
_FAMILIES = {"ipv4": 2, "ipv6": 10}
_HOOKS = ("pre_routing", "local_in", "forward", "local_out", "post_routing")


def netfilter(fd: int, target: str) -> Link:
    """Attach to ``FAMILY/HOOK[:PRIORITY]`` by a link (Linux commit 84601d6ee68a, v6.4)."""
    hook, _, priority = target.partition(":")
    family, _, name = hook.partition("/")
    if family not in _FAMILIES or name not in _HOOKS:
        raise NotAttached(f"netfilter {target}: is no family/hook[:priority]", code="attach-target-missing")
    extra = struct.pack("=IIiI", _FAMILIES[family], _HOOKS.index(name), int(priority or -128), 0)
    return attached.create(fd, 0, "netfilter", f"netfilter {target}", extra=extra)
