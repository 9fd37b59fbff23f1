"""The seccomp filter of a command: it stops, for the tracer, at the bpf(2) calls that make, load or attach something.

What a program does with the elements of its maps, and what it asks the kernel about, goes on at full speed: a tool may
do that a million times. This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

from everykernel.architectures import Architecture
from everykernel.load.system import abi

QUIET = (
    abi.MAP_LOOKUP_ELEM, abi.MAP_UPDATE_ELEM, abi.MAP_DELETE_ELEM, abi.MAP_GET_NEXT_KEY, abi.PROG_GET_NEXT_ID,
    abi.MAP_GET_NEXT_ID, abi.PROG_GET_FD_BY_ID, abi.MAP_GET_FD_BY_ID, abi.OBJ_GET_INFO_BY_FD, abi.PROG_QUERY,
    abi.BTF_GET_FD_BY_ID, abi.TASK_FD_QUERY, abi.MAP_LOOKUP_AND_DELETE_ELEM, abi.BTF_GET_NEXT_ID,
    abi.MAP_LOOKUP_BATCH, abi.MAP_LOOKUP_AND_DELETE_BATCH, abi.MAP_UPDATE_BATCH, abi.MAP_DELETE_BATCH,
    abi.LINK_GET_FD_BY_ID, abi.LINK_GET_NEXT_ID,
)  # fmt: skip
"""The commands of bpf(2) that are not stopped at."""

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000  # SECCOMP_RET_
_NUMBER, _ARCH, _FIRST = 0, 4, 16  # in struct seccomp_data; the lower half of the first argument, little-endian
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2

_prctl = ctypes.CDLL(None, use_errno=True)["prctl"]
_prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)


def program(rows: Iterable[Architecture]) -> bytes:
    """Return the filter, a struct sock_filter an instruction, for processes of any of these architectures."""
    code = b""
    for row in rows:
        first = _FIRST if row.byteorder == "little" else _FIRST + 4
        quiet = [_instruction(_EQUAL, command, len(QUIET) - index, 0) for index, command in enumerate(QUIET)]
        body = b"".join(
            [
                _instruction(_LOAD, _NUMBER),
                _instruction(_EQUAL, row.syscall_bpf, 0, len(quiet) + 2),
                _instruction(_LOAD, first),
                *quiet,
                _instruction(_RETURN, _TRACE),
                _instruction(_RETURN, _ALLOW),
            ]
        )
        code += _instruction(_LOAD, _ARCH) + _instruction(_EQUAL, row.audit_arch, 0, len(body) // 8) + body
    return code + _instruction(_RETURN, _ALLOW)


def install(code: bytes) -> None:
    """Put this process, and all that come of it, under a filter; raise OSError where the kernel has none."""
    buffer = ctypes.create_string_buffer(code, len(code))
    described = ctypes.create_string_buffer(struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer)))
    if _prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(described)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
