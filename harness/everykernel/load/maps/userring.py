"""The producer of a user ring buffer map, over its shared pages (kernel/bpf/ringbuf.c).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everykernel.load.system.door import System

_HEADER = 8  # bytes before each sample: its length, zeros


class UserRingBuffer:
    """Writes samples that programs drain (bpf_user_ringbuf_drain).

    Linux commit 583c1f420173 ("bpf: Define new BPF_MAP_TYPE_USER_RINGBUF map type") (in v6.1): the pages of a ring
    buffer with the roles changed, so here the consumer's position is the kernel's.
    """

    def __init__(self, system: System, fd: int, size: int) -> None:
        page = system.page_size
        self._size = size
        self._head = system.layout("II")
        self._position = system.layout("I" if system.pointer_size == 4 else "Q")  # an unsigned long
        self._mask = (1 << 8 * self._position.size) - 1
        self._consumer = system.map(fd, page, write=False)
        # the data pages are mapped twice in a row, so that a sample never wraps
        self._producer = system.map(fd, page + 2 * size, page)
        self._data = page

    def write(self, samples: Sequence[bytes]) -> int:
        """Write samples in order until one has no room; return how many had."""
        position, size = self._position, self._position.size
        at = position.unpack(self._producer[:size])[0]
        for number, sample in enumerate(samples):
            length = len(sample) + _HEADER + 7 & ~7
            used = at - position.unpack(self._consumer[:size])[0] & self._mask
            if length > self._size - used:
                return number
            start = self._data + at % self._size
            self._producer[start + _HEADER : start + _HEADER + len(sample)] = sample
            self._producer[start : start + _HEADER] = self._head.pack(len(sample), 0)
            at = at + length & self._mask
            self._producer[:size] = position.pack(at)  # only now does the kernel see it
        return len(samples)

    def close(self) -> None:
        """Unmap its pages."""
        self._consumer.close()
        self._producer.close()
