"""Requests to rtnetlink(7): what attaches to the network and has no bpf(2) command, or had none.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Union

# Linux include/uapi/linux/rtnetlink.h and netlink.h
SETLINK, NEWROUTE, DELROUTE = 19, 24, 25
NEWQDISC, DELQDISC, NEWTFILTER, DELTFILTER = 36, 37, 44, 45
ECHO, EXCL, CREATE = 0x8, 0x200, 0x400
_REQUEST, _ACK, _ACK_TLVS = 0x1, 0x4, 0x200
_ERROR, _ERROR_TEXT = 2, 1  # NLMSG_ERROR, NLMSGERR_ATTR_MSG
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_NESTED = 0x8000


def attribute(kind: int, value: Union[int, str, bytes]) -> bytes:
    """Return an attribute: an int as 32 bits, a str with its NUL, bytes as they are."""
    if isinstance(value, int):
        data = struct.pack("=I", value & 0xFFFFFFFF)
    else:
        data = value.encode() + b"\0" if isinstance(value, str) else value
    return (struct.pack("=HH", 4 + len(data), kind) + data).ljust(4 + len(data) + 3 & ~3, b"\0")


def nest(kind: int, *attributes: bytes) -> bytes:
    """Return an attribute that holds others."""
    return attribute(kind | _NESTED, b"".join(attributes))


def request(kind: int, body: bytes, flags: int = 0) -> bytes:
    """Send one request and wait until it is done; return the body of what the kernel echoed, b"" without ``ECHO``.

    Raises OSError, whose text is the kernel's own where it says more than an errno.
    """
    head = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as channel:
        for option in (_CAP_ACK, _EXT_ACK):
            channel.setsockopt(_SOL_NETLINK, option, 1)
        channel.sendall(head + body)
        echoed = b""
        while True:
            for kind_, flags_, data in _messages(channel.recv(65536)):
                if kind_ == _ERROR:
                    _raise(struct.unpack_from("=i", data)[0], data[20:] if flags_ & _ACK_TLVS else b"")
                    return echoed
                echoed = data


def _messages(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return type, flags and body of each message of a datagram."""
    found, at = [], 0
    while at + 16 <= len(data):
        size, kind, flags = struct.unpack_from("=IHH", data, at)
        found.append((kind, flags, data[at + 16 : at + size]))
        at += max(size + 3 & ~3, 16)
    return found


def _raise(error: int, attributes: bytes) -> None:
    if not error:
        return
    text, at = os.strerror(-error), 0
    while at + 4 <= len(attributes):
        size, kind = struct.unpack_from("=HH", attributes, at)
        if kind == _ERROR_TEXT:
            text = attributes[at + 4 : at + size].rstrip(b"\0").decode("utf-8", "replace")
        at += max(size + 3 & ~3, 4)
    raise OSError(-error, text)
