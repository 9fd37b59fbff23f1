"""The form of netlink's messages, as linux/netlink.h has it."""

from __future__ import annotations

import struct

from everykernel.load.system.door import System
from everykernel.load.system.local import Local
from everykernel.load.system.netlink import Netlink


def of_order(byteorder: str) -> System:
    made = Local()
    made.byteorder = byteorder
    return made


ROUTE = Netlink(of_order("little"))


def test_attributes() -> None:
    """An attribute tells its length without the padding, and is padded to four bytes; nests hold others."""
    assert ROUTE.attribute(1, 7) == struct.pack("<HHI", 8, 1, 7)
    assert ROUTE.attribute(6, -1) == struct.pack("<HHi", 8, 6, -1)
    assert ROUTE.attribute(2, "bpf") == struct.pack("<HH4s", 8, 2, b"bpf")
    assert ROUTE.attribute(4, b"\1\2") == struct.pack("<HH4s", 6, 4, b"\1\2")
    inner = ROUTE.attribute(1, 7) + ROUTE.attribute(4, b"\1")
    assert (
        ROUTE.nest(3, ROUTE.attribute(1, 7), ROUTE.attribute(4, b"\1"))
        == struct.pack("<HH", 4 + len(inner), 0x8003) + inner
    )


def test_attributes_of_another_byte_order() -> None:
    """A machine's messages are in its own byte order."""
    route = Netlink(of_order("big"))
    assert route.nest(3, route.attribute(1, 7)) == struct.pack(">HHHHI", 12, 0x8003, 8, 1, 7)
