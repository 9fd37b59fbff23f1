"""The consumer of a perf event array: one perf buffer for each CPU, lost events counted.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import struct
import time

from everykernel.load.system import abi
from everykernel.load.system.cpus import cpu_list
from everykernel.load.system.syscalls import address, bpf, perf_event_open

_PAGES = 16  # data pages a CPU, a power of two
_HEAD, _TAIL = 1024, 1032  # data_head and data_tail in struct perf_event_mmap_page
_RECORD = struct.Struct("=IHH")  # struct perf_event_header: type, misc, size


class PerfBuffer:
    """Reads what programs send to the CPUs' buffers of one map of ``entries``.

    ``lost`` counts the events that the kernel had no room for.
    """

    def __init__(self, map_fd: int, entries: int) -> None:
        self.lost = 0
        self._rings: list[tuple[int, mmap.mmap]] = []
        self._poll = select.poll()
        attributes = abi.perf_event(
            abi.PERF_TYPE_SOFTWARE, abi.PERF_COUNT_SW_BPF_OUTPUT, sample_type=abi.PERF_SAMPLE_RAW, wakeup=1
        )
        for cpu in cpu_list("online"):
            if cpu >= entries:
                break
            fd = perf_event_open(attributes, -1, cpu)
            self._rings.append((fd, mmap.mmap(fd, (1 + _PAGES) * mmap.PAGESIZE)))
            key, value = bytearray(struct.pack("=I", cpu)), bytearray(struct.pack("=I", fd))
            bpf(abi.MAP_UPDATE_ELEM, abi.element(map_fd, address(key), address(value)))
            fcntl.ioctl(fd, abi.PERF_IOC_ENABLE, 0)
            self._poll.register(fd, select.POLLIN)

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
            self._poll.poll(max(1, int(left * 1000)))

    def _take(self, ring: mmap.mmap, samples: list[bytes], count: int) -> None:
        head, tail = struct.unpack_from("=QQ", ring, _HEAD)
        while tail != head and len(samples) < count:
            kind, _, size = _RECORD.unpack(self._bytes(ring, tail, _RECORD.size))
            body = self._bytes(ring, tail + _RECORD.size, size - _RECORD.size)
            if kind == abi.PERF_RECORD_SAMPLE:
                (length,) = struct.unpack_from("=I", body)
                samples.append(body[4 : 4 + length])
            elif kind == abi.PERF_RECORD_LOST:
                self.lost += struct.unpack_from("=QQ", body)[1]
            tail += size
            struct.pack_into("=Q", ring, _TAIL, tail)

    @staticmethod
    def _bytes(ring: mmap.mmap, position: int, size: int) -> bytes:
        """Return bytes of the data pages, around their end if need be."""
        room = _PAGES * mmap.PAGESIZE
        start = position % room
        first = ring[mmap.PAGESIZE + start : mmap.PAGESIZE + min(start + size, room)]
        return first + ring[mmap.PAGESIZE : mmap.PAGESIZE + size - len(first)]

    def close(self) -> None:
        """Unmap the buffers and close their events."""
        for fd, ring in self._rings:
            ring.close()
            os.close(fd)
        self._rings = []
