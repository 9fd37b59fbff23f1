"""Bits that system calls set and read back are the bits that the program reads from the kernel's structs."""

import ctypes
import os
import socket

PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37  # Linux include/uapi/linux/prctl.h
SO_NO_CHECK = 11  # Linux include/uapi/asm-generic/socket.h
SOCK_SNDBUF_LOCK, SOCK_RCVBUF_LOCK = 1, 2  # Linux include/uapi/linux/socket.h
_libc = ctypes.CDLL(None)


def check(obj):
    """Turn every bit off and on again, and compare with what the system calls read back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        obj.globals["socket_fd"] = udp.fileno()
        obj.globals["ek_pid"] = os.getpid()
        seen = [_compare(obj, udp, on) for on in (False, True, False)]
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        assert _trigger(obj)["userlocks"] == SOCK_SNDBUF_LOCK
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        assert _trigger(obj)["userlocks"] == SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK
    return seen


def _trigger(obj):
    os.getpgid(0)
    values = obj.globals
    return {key: values[key] for key in ("reset_on_fork", "subreaper", "reuse", "reuseport", "no_check", "userlocks")}


def _compare(obj, udp, on):
    flag = os.SCHED_RESET_ON_FORK if on else 0
    os.sched_setscheduler(0, os.SCHED_OTHER | flag, os.sched_param(0))
    assert _libc.prctl(PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0) == 0
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, SO_NO_CHECK):
        udp.setsockopt(socket.SOL_SOCKET, option, int(on))
    reaper = ctypes.c_int()
    assert _libc.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(reaper), 0, 0, 0) == 0
    truth = {
        "reset_on_fork": int(bool(os.sched_getscheduler(0) & os.SCHED_RESET_ON_FORK)),
        "subreaper": reaper.value,
        "reuse": udp.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR),
        "reuseport": udp.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT),
        "no_check": udp.getsockopt(socket.SOL_SOCKET, SO_NO_CHECK),
        "userlocks": 0,
    }
    assert truth["reset_on_fork"] == truth["subreaper"] == truth["reuse"] == int(on)
    found = _trigger(obj)
    assert found == truth, f"the program reads {found}, the system calls {truth}"
    return found
