"""The consumer of a ring buffer map, over its shared pages (kernel/bpf/ringbuf.c).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from everykernel.load.system.door import System

BUSY, DISCARD = 1 << 31, 1 << 30
_OVERWRITTEN = 2  # words of the producer's page before the end of what was overwritten (struct bpf_ringbuf)
_HEADER = 8  # bytes before each record: length and flags, page offset


class RingBuffer:
    """Reads the records of one ring buffer.

    ``lost`` is always 0: a full ring buffer refuses the program's reservation, and nothing counts that, nor what is
    overwritten in one that was made with BPF_F_RB_OVERWRITE (``overwrites``). Of that, the oldest record that is still
    there comes first.
    """

    lost = 0

    def __init__(self, system: System, fd: int, size: int, *, overwrites: bool = False) -> None:
        self._overwrites = overwrites
        page = system.page_size
        self._system, self._fd = system, fd
        self._size = size
        self._head = system.layout("I")
        self._position = system.layout("I" if system.pointer_size == 4 else "Q")  # an unsigned long
        self._mask = (1 << 8 * self._position.size) - 1
        self._consumer = system.map(fd, page)
        # the data pages are mapped twice in a row, so that a record never wraps
        self._producer = system.map(fd, page + 2 * size, page, write=False)
        self._data = page

    def read(self, count: int, timeout: float) -> list[bytes]:
        """Return ``count`` records, or what there is after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        samples: list[bytes] = []
        while True:
            self._take(samples, count)
            left = deadline - time.monotonic()
            if len(samples) >= count or left <= 0:
                return samples
            # a busy record wakes nobody: look again soon
            self._system.wait([self._fd], max(1, int(min(left, 0.1) * 1000)))

    def _take(self, samples: list[bytes], count: int) -> None:
        position, size = self._position, self._position.size
        at = position.unpack(self._consumer[:size])[0]
        while len(samples) < count:
            end = position.unpack(self._producer[:size])[0]  # the kernel sets it after what it overwrote
            at = self._oldest(at)
            if not 0 < (end - at & self._mask) <= self._mask >> 1:
                return
            start = self._data + at % self._size
            (head,) = self._head.unpack(self._producer[start : start + 4])
            if head & BUSY:
                return
            length = head & ~(BUSY | DISCARD)
            sample = self._producer[start + _HEADER : start + _HEADER + length]
            if self._oldest(at) != at:
                continue  # it was overwritten meanwhile
            if not head & DISCARD:
                samples.append(sample)
            at = at + (length + _HEADER + 7 & ~7) & self._mask
            self._consumer[:size] = position.pack(at)

    def _oldest(self, at: int) -> int:
        """Return where the oldest record is that has not been read, if all before ``at`` have."""
        if not self._overwrites:
            return at
        size = self._position.size
        (kept,) = self._position.unpack(self._producer[_OVERWRITTEN * size : (_OVERWRITTEN + 1) * size])
        return int(kept) if 0 < (kept - at & self._mask) <= self._mask >> 1 else at

    def close(self) -> None:
        """Unmap its pages."""
        self._consumer.close()
        self._producer.close()
