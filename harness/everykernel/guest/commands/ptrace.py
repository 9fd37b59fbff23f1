"""ptrace(2), as far as watching needs it; every call is the tracing thread's own.

Constants: include/uapi/linux/ptrace.h. This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Optional

from everykernel.namedtuple import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_ptrace = _libc["ptrace"]
_ptrace.restype = ctypes.c_long
_ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)

_CONT, _SYSCALL, _GETEVENTMSG, _SEIZE, _LISTEN, _GET_SYSCALL_INFO = 7, 24, 0x4201, 0x4206, 0x4208, 0x420E
_GETREGSET, _GENERAL = 0x4204, 1  # NT_PRSTATUS
EVENT_EXEC, EVENT_EXIT, EVENT_SECCOMP, EVENT_STOP = 4, 6, 7, 128
# PTRACE_O_: TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC, TRACEEXIT, TRACESECCOMP, EXITKILL
_OPTIONS = 1 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 20
SYSCALL_STOP = 0x80  # beside SIGTRAP, with PTRACE_O_TRACESYSGOOD

_INFO_SIZE = 88  # of struct ptrace_syscall_info, Linux commit 201766a20e30 (in v5.3)
_AT = 24  # of what differs between entry and exit
_EXIT, _SECCOMP = 2, 3  # PTRACE_SYSCALL_INFO_


class _Registers(NamedTuple):
    """Where the registers of a thread hold a system call's number, its result, and its arguments."""

    layout: str
    number: int
    result: int
    arguments: tuple[int, ...]


# By the bytes of a thread's registers, which tell 64 from 32 bits (struct user_regs_struct of arch/x86/include/asm's
# user_64.h and user_32.h): x86_64, i386. Kernels without PTRACE_GET_SYSCALL_INFO are asked for these.
_REGISTERS = {
    216: _Registers("=27q", 15, 10, (14, 13, 12, 7, 9, 8)),
    68: _Registers("=17i", 11, 6, (0, 1, 2, 3, 4, 5)),
}


class Entered(NamedTuple):
    """A system call that was about to begin: its number and its arguments."""

    number: int
    arguments: tuple[int, ...]


def seize(pid: int) -> None:
    """Watch a process, and all that come of it; raise OSError."""
    _call(_SEIZE, pid, _OPTIONS)


def go_on(pid: int, signal: int = 0) -> None:
    """Let a stopped thread run on, with a signal."""
    _call(_CONT, pid, signal)


def to_exit(pid: int) -> None:
    """Let a thread that stopped before a system call run to that call's end."""
    _call(_SYSCALL, pid, 0)


def stay(pid: int) -> None:
    """Leave a thread stopped, as the signal that stopped its process wants it."""
    _call(_LISTEN, pid, 0)


def message(pid: int) -> int:
    """Return what belongs to an event: of an exec, the number that the thread had before."""
    value = ctypes.c_ulong()
    _result(_ptrace(_GETEVENTMSG, pid, None, ctypes.addressof(value)))
    return value.value


def entered(pid: int) -> Entered:
    """Return the call that a thread stopped before (PTRACE_EVENT_SECCOMP)."""
    data = _info(pid)
    if data is not None:
        number, *arguments = struct.unpack_from("=7Q", data, _AT)
        return Entered(number, tuple(arguments))
    layout, values = _registers(pid)
    mask = (1 << 64) - 1 if layout.layout.endswith("q") else (1 << 32) - 1
    return Entered(values[layout.number], tuple(values[place] & mask for place in layout.arguments))


def result(pid: int) -> int:
    """Return what the call gave at whose end a thread stopped: negative for an errno."""
    data = _info(pid)
    if data is not None:
        return int(struct.unpack_from("=q", data, _AT)[0])
    layout, values = _registers(pid)
    return values[layout.result]


def read(pid: int, address: int, size: int) -> bytes:
    """Return bytes of a stopped thread's memory, fewer where it ends; raise OSError where there are none."""
    if not address or address >> 63 or size <= 0:
        return b""
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(memory, size, address)
    finally:
        os.close(memory)


def _info(pid: int) -> Optional[bytes]:
    """Return a struct ptrace_syscall_info, None where the kernel does not know that request (EIO)."""
    buffer = ctypes.create_string_buffer(_INFO_SIZE)
    if _ptrace(_GET_SYSCALL_INFO, pid, _INFO_SIZE, ctypes.addressof(buffer)) < 0:
        if ctypes.get_errno() == errno.EIO:
            return None
        _result(-1)
    return buffer.raw


def _registers(pid: int) -> tuple[_Registers, tuple[int, ...]]:
    """Return a stopped thread's registers, and where what matters is among them; raise OSError."""
    buffer = ctypes.create_string_buffer(max(_REGISTERS))
    described = ctypes.create_string_buffer(struct.pack("@PN", ctypes.addressof(buffer), len(buffer)))  # struct iovec
    _result(_ptrace(_GETREGSET, pid, _GENERAL, ctypes.addressof(described)))
    (size,) = struct.unpack_from("@N", described.raw, struct.calcsize("P"))
    layout = _REGISTERS.get(size)
    if layout is None:
        raise OSError(errno.ENOSYS, "a thread's registers are of another architecture")
    return layout, struct.unpack_from(layout.layout, buffer.raw)


def _call(request: int, pid: int, data: int) -> None:
    _result(_ptrace(request, pid, None, data))


def _result(value: int) -> None:
    if value < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
