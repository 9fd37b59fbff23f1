"""The consumer of a perf event array: one perf buffer for each CPU, lost events counted.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from everykernel.load.system import abi

if TYPE_CHECKING:
    from everykernel.load.system.block import Memory
    from everykernel.load.system.door import System

_PAGES = 16  # data pages a CPU, a power of two
_HEAD, _TAIL = 1024, 1032  # data_head and data_tail in struct perf_event_mmap_page
_RECORD = "IHH"  # struct perf_event_header: type, misc, size


class PerfBuffer:
    """Reads what programs send to the CPUs' buffers of one map of ``entries``.

    ``lost`` counts the events that the kernel had no room for.
    """

    def __init__(self, system: System, map_fd: int, entries: int) -> None:
        self._system = system
        self._record = system.layout(_RECORD)
        self.lost = 0
        self._rings: list[tuple[int, Memory]] = []
        attributes = abi.perf_event(
            abi.PERF_TYPE_SOFTWARE, abi.PERF_COUNT_SW_BPF_OUTPUT, sample_type=abi.PERF_SAMPLE_RAW, wakeup=1
        )
        for cpu in system.cpus("online"):
            if cpu >= entries:
                break
            fd = system.perf_event_open(attributes, -1, cpu)
            self._rings.append((fd, system.map(fd, (1 + _PAGES) * system.page_size)))
            key, value = bytearray(system.pack("I", cpu)), bytearray(system.pack("I", fd))
            system.bpf(abi.MAP_UPDATE_ELEM, abi.element(map_fd, key, value))
            system.ioctl(fd, abi.PERF_IOC_ENABLE)

    def read(self, count: int, timeout: float) -> list[bytes]:
        """Return ``count`` samples, or what there is after ``timeout`` seconds; CPUs one after another."""
        deadline = time.monotonic() + timeout
        samples: list[bytes] = []
        while True:
            for _, ring in self._rings:
                self._take(ring, samples, count)
            left = deadline - time.monotonic()
            if len(samples) >= count or left <= 0:
                return samples
            self._system.wait([fd for fd, _ in self._rings], max(1, int(left * 1000)))

    def _take(self, ring: Memory, samples: list[bytes], count: int) -> None:
        unpack = self._system.unpack
        head, tail = unpack("QQ", ring[_HEAD : _HEAD + 16])
        while tail != head and len(samples) < count:
            kind, _, size = self._record.unpack(self._bytes(ring, tail, self._record.size))
            body = self._bytes(ring, tail + self._record.size, size - self._record.size)
            if kind == abi.PERF_RECORD_SAMPLE:
                (length,) = unpack("I", body)
                samples.append(body[4 : 4 + length])
            elif kind == abi.PERF_RECORD_LOST:
                self.lost += int(unpack("QQ", body)[1])
            tail += size
            ring[_TAIL : _TAIL + 8] = self._system.pack("Q", tail)

    def _bytes(self, ring: Memory, position: int, size: int) -> bytes:
        """Return bytes of the data pages, around their end if need be."""
        page = self._system.page_size
        room = _PAGES * page
        start = position % room
        first = ring[page + start : page + min(start + size, room)]
        return first + ring[page : page + size - len(first)]

    def close(self) -> None:
        """Unmap the buffers and close their events."""
        for fd, ring in self._rings:
            ring.close()
            self._system.close(fd)
        self._rings = []
