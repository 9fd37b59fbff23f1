"""Free memory made zero before the guest is saved: what a boot leaves there takes room in each snapshot for nothing.

A page that a process takes is zero before it sees it. So all that is free is taken once and given back: the host then
keeps holes in its place (`machine.holes`). Before that, the C library gives back what it keeps of what we have freed.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap

_LEFT = 16 << 20  # bytes that stay free: the kernel must not begin to look for more
_MOST = 16 << 20  # bytes that are taken: what was used last is taken first, and most of the rest was never touched
_PIECE = 4 << 20
_POPULATE = 0x8000  # MAP_POPULATE of all our architectures (include/uapi/asm-generic/mman.h, powerpc's mman.h)


def scrub() -> None:
    """Take the free memory, piece by piece, and give it back; what the kernel does not give stays as it is."""
    with contextlib.suppress(AttributeError):  # a C library that is not glibc
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.ExitStack() as taken, contextlib.suppress(OSError):
        for _ in range(_MOST // _PIECE):
            if _free() < _LEFT + _PIECE:
                break
            taken.enter_context(mmap.mmap(-1, _PIECE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _POPULATE))


def _free() -> int:
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("MemFree:"))
