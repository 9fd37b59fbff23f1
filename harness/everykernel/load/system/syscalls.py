"""The system calls: bpf(2), perf_event_open(2), and the buffers that their arguments point to.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
from typing import Optional, Union

from everykernel.architectures import ARCHITECTURES, Architecture

ENOTSUPP = 524  # the kernel's own, which errno does not name

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long

_MACHINES = {row.uname: row for row in ARCHITECTURES.values()}
_CHAR = ctypes.c_char


def architecture() -> Architecture:
    """Return the row of the machine that this runs on; raise OSError (ENOSYS) for one that is not in the table."""
    found = _MACHINES.get(os.uname().machine)
    if found is None:
        raise OSError(errno.ENOSYS, f"no system call numbers are known for {os.uname().machine}")
    return found


_numbers: Optional[tuple[int, int]] = None


def _number(index: int) -> int:
    global _numbers
    if _numbers is None:
        row = architecture()
        _numbers = (row.syscall_bpf, row.syscall_perf_event_open)
    return _numbers[index]


def address(buffer: Union[bytearray, mmap.mmap]) -> int:
    """Return where a buffer's bytes are (0 for an empty one); the caller keeps it alive and unresized."""
    return ctypes.addressof(_CHAR.from_buffer(buffer)) if buffer else 0


def bpf(command: int, attributes: bytearray) -> int:
    """Call bpf(2) with a union bpf_attr, which the kernel may write to; return its result.

    Raises OSError. EPERM raises the limit of locked memory and tries again, once: kernels before Linux commit
    3ac1f01b43b6 ("bpf: Eliminate rlimit-based memory accounting infra for bpf maps", in v5.11) count maps and programs
    against it.
    """
    while True:
        result = _syscall(
            ctypes.c_long(_number(0)),
            ctypes.c_long(command),
            ctypes.c_void_p(address(attributes)),
            ctypes.c_ulong(len(attributes)),
        )
        if result >= 0:
            return int(result)
        code = ctypes.get_errno()
        if code in (errno.EPERM, errno.ENOMEM) and _raise_memlock():
            continue
        raise OSError(code, os.strerror(code))


def perf_event_open(attributes: bytearray, pid: int, cpu: int) -> int:
    """Call perf_event_open(2) with a struct perf_event_attr; return the descriptor (close-on-exec). Raises OSError."""
    flag_cloexec = 8
    result = _syscall(
        ctypes.c_long(_number(1)),
        ctypes.c_void_p(address(attributes)),
        ctypes.c_long(pid),
        ctypes.c_long(cpu),
        ctypes.c_long(-1),
        ctypes.c_ulong(flag_cloexec),
    )
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def _raise_memlock() -> bool:
    """Take the limit of locked memory away; return whether it was there (and so was worth another try)."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    if resource.getrlimit(resource.RLIMIT_MEMLOCK) == unlimited:
        return False
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, unlimited)
    except (ValueError, OSError):
        return False
    return True


def error_name(code: Union[int, None]) -> str:
    """Return the name of an error number: ``EACCES``; ENOTSUPP too."""
    if code == ENOTSUPP:
        return "ENOTSUPP"
    return errno.errorcode.get(code or 0, str(code))
