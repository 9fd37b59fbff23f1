"""The form of netlink's messages, as linux/netlink.h has it."""

from __future__ import annotations

import struct

from everykernel.load.system import netlink


def test_attributes() -> None:
    """An attribute tells its length without the padding, and is padded to four bytes; nests hold others."""
    assert netlink.attribute(1, 7) == struct.pack("=HHI", 8, 1, 7)
    assert netlink.attribute(6, -1) == struct.pack("=HHi", 8, 6, -1)
    assert netlink.attribute(2, "bpf") == struct.pack("=HH4s", 8, 2, b"bpf")
    assert netlink.attribute(4, b"\1\2") == struct.pack("=HH4s", 6, 4, b"\1\2")
    inner = netlink.attribute(1, 7) + netlink.attribute(4, b"\1")
    assert (
        netlink.nest(3, netlink.attribute(1, 7), netlink.attribute(4, b"\1"))
        == struct.pack("=HH", 4 + len(inner), 0x8003) + inner
    )
