"""A socket option that the kernel does not have can be set, read back changed, and refused."""

import errno
import socket

LEVEL = 0xE4


def check(obj):
    """Set and get the option, and one that is refused; without the programs there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(LEVEL, 7, b"\x29")
        assert s.getsockopt(LEVEL, 7, 1) == b"\x2a"
        assert _refusal(s, 8) == errno.EPERM
        obj.detach()
        assert _refusal(s, 7) == errno.ENOPROTOOPT
    assert obj.globals["kept"] == 0x29
    assert obj.globals["ek_hits"] == 2
    return {"kept": obj.globals["kept"]}


def _refusal(s, option):
    try:
        s.setsockopt(LEVEL, option, b"\x29")
    except OSError as e:
        return e.errno
    return 0
