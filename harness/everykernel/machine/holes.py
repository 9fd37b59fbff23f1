"""Files of memory: what is zero in them takes no room on the disk."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

PAGE = 4096
_PIECE = 1 << 20
_PUNCH = 0x03  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE (include/uapi/linux/falloc.h)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate64.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def data(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each stretch of a file's first ``size`` bytes that is no hole."""
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            return
        position = min(size, os.lseek(descriptor, start, os.SEEK_HOLE))
        yield start, position


def dig(path: Path) -> int:
    """Make holes of the pages of a file that are zero; return how many bytes they had.

    On a file system that has no holes the file stays as it is.
    """
    dug = 0
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        for start, end in data(descriptor, os.fstat(descriptor).st_size):
            for at in range(start, end, _PIECE):
                for begin, stop in _zeros(os.pread(descriptor, min(_PIECE, end - at), at)):
                    if _libc.fallocate64(descriptor, _PUNCH, at + begin, stop - begin):
                        return dug
                    dug += stop - begin
    finally:
        os.close(descriptor)
    return dug


def _zeros(piece: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of each run of whole pages that are zero."""
    nothing, view, begin = bytes(PAGE), memoryview(piece), -1
    for at in range(0, len(piece), PAGE):
        if view[at : at + PAGE] == nothing:
            begin = at if begin < 0 else begin
        elif begin >= 0:
            yield begin, at
            begin = -1
    if begin >= 0:
        yield begin, len(piece) // PAGE * PAGE
