"""The producer of a user ring buffer map, over its shared pages (kernel/bpf/ringbuf.c).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence

_HEADER = 8  # bytes before each sample: its length, zeros


class UserRingBuffer:
    """Writes samples that programs drain (bpf_user_ringbuf_drain).

    Linux commit 583c1f420173 ("bpf: Define new BPF_MAP_TYPE_USER_RINGBUF map type") (in v6.1): the pages of a ring
    buffer with the roles changed, so here the consumer's position is the kernel's.
    """

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self._size = size
        self._position = struct.Struct("=L" if struct.calcsize("L") == 4 else "=Q")
        self._mask = (1 << 8 * self._position.size) - 1
        self._consumer = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ)
        # the data pages are mapped twice in a row, so that a sample never wraps
        prot = mmap.PROT_READ | mmap.PROT_WRITE
        self._producer = mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED, prot, offset=page)
        self._data = page

    def write(self, samples: Sequence[bytes]) -> int:
        """Write samples in order until one has no room; return how many had."""
        position = self._position
        at = position.unpack_from(self._producer)[0]
        for number, sample in enumerate(samples):
            length = len(sample) + _HEADER + 7 & ~7
            used = at - position.unpack_from(self._consumer)[0] & self._mask
            if length > self._size - used:
                return number
            start = self._data + at % self._size
            self._producer[start + _HEADER : start + _HEADER + len(sample)] = sample
            struct.pack_into("=II", self._producer, start, len(sample), 0)
            at = at + length & self._mask
            position.pack_into(self._producer, 0, at)  # only now does the kernel see it
        return len(samples)

    def close(self) -> None:
        """Unmap its pages."""
        self._consumer.close()
        self._producer.close()
