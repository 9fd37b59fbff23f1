"""Fields hold what was set through /proc and setsockopt(2), whatever their size, and nothing of their neighbours."""

import contextlib
import os
import socket
from pathlib import Path

SYSCTL = Path("/proc/sys/net/ipv4/tcp_comp_sack_nr")
SO_TIMESTAMPING = 37  # Linux include/uapi/asm-generic/socket.h
FLAGS = 1 << 3 | 1 << 4 | 1 << 11  # RX_SOFTWARE, SOFTWARE and OPT_TSONLY of include/uapi/linux/net_tstamp.h


def check(obj):
    """Set a sysctl and a socket's option, and compare what the programs read."""
    obj.globals["ek_pid"] = os.getpid()
    for number in (200, 3):
        SYSCTL.write_text(f"{number}\n")
        os.getpgid(0)
        assert obj.globals["comp_sack_nr"] == number == int(SYSCTL.read_text())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, FLAGS)
        truth = udp.getsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING)
        with contextlib.suppress(OSError):  # sets sk_shutdown, the neighbour of sk_tsflags in 5.10, and says ENOTCONN
            udp.shutdown(socket.SHUT_RDWR)
    values = obj.globals
    if obj.programs["on_release"].record["status"] == "passed":  # a kernel without BTF of its own has no fentry
        assert values["ek_hits"] == 3
        assert values["tsflags"] == truth == FLAGS, f"flags {values['tsflags']:#x}, getsockopt says {truth:#x}"
    else:
        assert values["ek_hits"] == 2
    return {key: values[key] for key in ("comp_sack_nr_size", "tsflags_size")}
