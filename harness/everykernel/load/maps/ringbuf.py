"""The consumer of a ring buffer map, over its shared pages (kernel/bpf/ringbuf.c).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import mmap
import select
import struct
import time

BUSY, DISCARD = 1 << 31, 1 << 30
_HEADER = 8  # bytes before each record: length and flags, page offset


class RingBuffer:
    """Reads the records of one ring buffer.

    ``lost`` is always 0: a full ring buffer refuses the program's reservation, and nothing counts that.
    """

    lost = 0

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self._size = size
        self._position = struct.Struct("=L" if struct.calcsize("L") == 4 else "=Q")
        self._mask = (1 << 8 * self._position.size) - 1
        self._consumer = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        # the data pages are mapped twice in a row, so that a record never wraps
        self._producer = mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._data = page
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def read(self, count: int, timeout: float) -> list[bytes]:
        """Return ``count`` records, or what there is after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        samples: list[bytes] = []
        while True:
            self._take(samples, count)
            left = deadline - time.monotonic()
            if len(samples) >= count or left <= 0:
                return samples
            self._poll.poll(max(1, int(min(left, 0.1) * 1000)))  # a busy record wakes nobody: look again soon

    def _take(self, samples: list[bytes], count: int) -> None:
        position = self._position
        at = position.unpack_from(self._consumer)[0]
        while len(samples) < count and at != position.unpack_from(self._producer)[0]:
            start = self._data + at % self._size
            (head,) = struct.unpack_from("=I", self._producer, start)
            if head & BUSY:
                return
            length = head & ~(BUSY | DISCARD)
            if not head & DISCARD:
                samples.append(self._producer[start + _HEADER : start + _HEADER + length])
            at = at + (length + _HEADER + 7 & ~7) & self._mask
            position.pack_into(self._consumer, 0, at)

    def close(self) -> None:
        """Unmap its pages."""
        self._consumer.close()
        self._producer.close()
