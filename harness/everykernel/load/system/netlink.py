"""Requests to rtnetlink(7): what attaches to the network and has no bpf(2) command, or had none.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Protocol, Union

UNSPEC = 0  # AF_UNSPEC
# Linux include/uapi/linux/rtnetlink.h and netlink.h
GETLINK, SETLINK, NEWROUTE, DELROUTE = 18, 19, 24, 25
NEWQDISC, DELQDISC, NEWTFILTER, DELTFILTER = 36, 37, 44, 45
ECHO, EXCL, CREATE = 0x8, 0x200, 0x400
_REQUEST, _ACK, _ACK_TLVS = 0x1, 0x4, 0x200
_ERROR, _ERROR_TEXT = 2, 1  # NLMSG_ERROR, NLMSGERR_ATTR_MSG
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_NESTED = 0x8000
_AF, _RAW, _ROUTE = 16, 3, 0  # AF_NETLINK, SOCK_RAW, NETLINK_ROUTE
_SOL_SOCKET = 1  # include/uapi/asm-generic/socket.h
_IFLA_IFNAME, _IFNAMSIZ = 3, 16
_DATAGRAM = 65536


class Sockets(Protocol):
    """What of a machine its requests need; see `System`."""

    byteorder: str

    def socket(self, family: int, kind: int, protocol: int) -> int:
        """Return a socket's descriptor."""

    def set_option(self, fd: int, level: int, option: int, value: int) -> None:
        """Set an option."""

    def send(self, fd: int, data: bytes) -> None:
        """Write a datagram."""

    def receive(self, fd: int, size: int) -> bytes:
        """Read a datagram."""

    def close(self, fd: int) -> None:
        """Close it."""


class Netlink:
    """Messages in a machine's byte order, and the requests that they make up."""

    def __init__(self, system: Sockets) -> None:
        self._system = system
        self._order = "<" if system.byteorder == "little" else ">"

    def pack(self, format_: str, *values: int) -> bytes:
        """Return values in the machine's byte order. Raises struct.error for what does not fit."""
        return struct.pack(self._order + format_, *values)

    def attribute(self, kind: int, value: Union[int, str, bytes]) -> bytes:
        """Return an attribute: an int as 32 bits, a str with its NUL, bytes as they are."""
        if isinstance(value, int):
            data = self.pack("I", value & 0xFFFFFFFF)
        else:
            data = value.encode() + b"\0" if isinstance(value, str) else value
        return (self.pack("HH", 4 + len(data), kind) + data).ljust(4 + len(data) + 3 & ~3, b"\0")

    def nest(self, kind: int, *attributes: bytes) -> bytes:
        """Return an attribute that holds others."""
        return self.attribute(kind | _NESTED, b"".join(attributes))

    def request(self, kind: int, body: bytes, flags: int = 0) -> bytes:
        """Send one request and wait until it is done; return the body of what the kernel echoed, b"" without ``ECHO``.

        Raises OSError, whose text is the kernel's own where it says more than an errno.
        """
        head = self.pack("IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 1, 0)
        system = self._system
        channel = system.socket(_AF, _RAW, _ROUTE)
        try:
            for option in (_CAP_ACK, _EXT_ACK):
                system.set_option(channel, _SOL_NETLINK, option, 1)
            system.send(channel, head + body)
            echoed = b""
            while True:
                for kind_, flags_, data in self._messages(system.receive(channel, _DATAGRAM)):
                    if kind_ == _ERROR:
                        (error,) = struct.unpack_from(self._order + "i", data)
                        self._raise(error, data[20:] if flags_ & _ACK_TLVS else b"")
                        return echoed
                    echoed = data
        finally:
            system.close(channel)

    def index(self, interface: str) -> int:
        """Return the number of a network interface. Raises OSError."""
        if not 0 < len(interface.encode()) < _IFNAMSIZ:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        head = self.pack("BxHiII", UNSPEC, 0, 0, 0, 0)  # struct ifinfomsg
        found = self.request(GETLINK, head + self.attribute(_IFLA_IFNAME, interface))
        return int(struct.unpack_from(self._order + "i", found, 4)[0])

    def address(self, text: str) -> tuple[int, bytes]:
        """Return family and bytes of an address of IPv4 or IPv6. Raises OSError."""
        family = socket.AF_INET6 if ":" in text else socket.AF_INET
        return int(family), socket.inet_pton(family, text)

    def set_option(self, fd: int, option: int, value: int) -> None:
        """Set an option (of SOL_SOCKET) of the socket behind a descriptor. Raises OSError; ENOTSOCK for no socket."""
        self._system.set_option(fd, _SOL_SOCKET, option, value)

    def _messages(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Return type, flags and body of each message of a datagram."""
        found, at = [], 0
        while at + 16 <= len(data):
            size, kind, flags = struct.unpack_from(self._order + "IHH", data, at)
            found.append((kind, flags, data[at + 16 : at + size]))
            at += max(size + 3 & ~3, 16)
        return found

    def _raise(self, error: int, attributes: bytes) -> None:
        if not error:
            return
        text, at = os.strerror(-error), 0
        while at + 4 <= len(attributes):
            size, kind = struct.unpack_from(self._order + "HH", attributes, at)
            if kind == _ERROR_TEXT:
                text = attributes[at + 4 : at + size].rstrip(b"\0").decode("utf-8", "replace")
            at += max(size + 3 & ~3, 4)
        raise OSError(-error, text)
