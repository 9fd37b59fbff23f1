"""The system calls of this process: bpf(2) and perf_event_open(2), their arguments packed already.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import resource
from typing import TYPE_CHECKING, Any, Union

from everykernel.load.system import abi
from everykernel.load.system.errnos import failure

if TYPE_CHECKING:
    from everykernel.load.system.block import Memory

_libc = ctypes.CDLL(None, use_errno=True)
_bpf = _libc["syscall"]
_bpf.restype = ctypes.c_long
_bpf.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_ulong)
_perf = _libc["syscall"]
_perf.restype = ctypes.c_long
_perf.argtypes = (
    ctypes.c_long, ctypes.c_void_p, ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_ulong,
)  # fmt: skip
at, where = ctypes.c_char.from_buffer, ctypes.addressof
_mmap, _munmap = _libc["mmap"], _libc["munmap"]
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_CLOEXEC = 8  # PERF_FLAG_FD_CLOEXEC


def address(buffer: Union[bytearray, mmap.mmap]) -> int:
    """Return where a buffer's bytes are (0 for an empty one); the caller keeps it alive and unresized."""
    return where(at(buffer)) if buffer else 0


def bpf(number: int, command: int, attributes: bytearray) -> int:
    """Call bpf(2), system call ``number``, with a union bpf_attr, which the kernel may write to.

    Returns its result, or the negative errno. EPERM raises the limit of locked memory and tries again, once: kernels
    before Linux commit 3ac1f01b43b6 ("bpf: Eliminate rlimit-based memory accounting infra for bpf maps", in v5.11)
    count maps and programs against it.
    """
    while True:
        result: int = _bpf(number, command, where(at(attributes)), len(attributes))
        if result >= 0:
            return result
        code = ctypes.get_errno()
        if code in (errno.EPERM, errno.ENOMEM) and _raise_memlock():
            continue
        return -code


def perf_event_open(number: int, attributes: bytearray, pid: int, cpu: int) -> int:
    """Call perf_event_open(2), system call ``number``, with a struct perf_event_attr.

    Returns the descriptor (close-on-exec), or the negative errno.
    """
    result: int = _perf(number, address(attributes), pid, cpu, -1, _CLOEXEC)
    return result if result >= 0 else -ctypes.get_errno()


class _Placed(ctypes.Array):  # type: ignore[type-arg]  # it has a type for each size
    """`Memory` at an address."""

    _type_, _length_ = ctypes.c_char, 0

    def find(self, what: bytes) -> int:
        """Return where bytes first are, -1 where they are not."""
        return bytes(self).find(what)

    def close(self) -> None:
        """Unmap it."""
        _munmap(where(self), len(self))


def map_at(address: int, size: int, protection: int, fd: int, offset: int) -> Memory:
    """Call mmap(2) for shared memory at an address; raise OSError (EEXIST where something is there already)."""
    found = _mmap(address, size, protection, mmap.MAP_SHARED | abi.MAP_FIXED_NOREPLACE, fd, offset)
    if found == ctypes.c_void_p(-1).value:
        raise failure(ctypes.get_errno())
    placed: Any = type("Placed", (_Placed,), {"_length_": size})
    made: Memory = placed.from_address(found)
    return made


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
