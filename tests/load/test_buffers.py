"""Ring and perf buffers are read as the kernel writes them, over memory that a test writes."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

import pytest

from everykernel.load.maps.perfbuf import PerfBuffer
from everykernel.load.maps.ringbuf import BUSY, DISCARD, RingBuffer
from everykernel.load.maps.userring import UserRingBuffer
from everykernel.load.system.block import Fields
from everykernel.load.system.local import Local

PAGE = mmap.PAGESIZE
SIZE = PAGE  # of the ring buffer's data


class Ring:
    """A file that looks like a ring buffer map: consumer page, producer page, data pages twice.

    One that overwrites tells where the oldest record is, beside the producer's position.
    """

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * PAGE + 2 * SIZE)
        self.memory = mmap.mmap(self.fd, 0)
        self.position = 0

    def write(self, data: bytes, flags: int = 0) -> None:
        record = struct.pack("=II", len(data) | flags, 0) + data
        record += bytes(-len(record) % 8)
        self.starts.append(self.position)
        for index, byte in enumerate(record):
            at = (self.position + index) % SIZE
            self.memory[2 * PAGE + at] = self.memory[2 * PAGE + SIZE + at] = byte
        self.position += len(record)
        struct.pack_into("=Q", self.memory, PAGE, self.position)

    def overwrite(self) -> None:
        """Let the oldest record be the first that still has room before the next one's end."""
        oldest = next(start for start in self.starts if self.position - start <= SIZE)
        struct.pack_into("=Q", self.memory, PAGE + 16, oldest)

    def consumed(self) -> int:
        return int(struct.unpack_from("=Q", self.memory, 0)[0])


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring()
    yield ring
    ring.memory.close()
    os.close(ring.fd)


def test_ring_buffer_order_and_padding(ring: Ring) -> None:
    """Records come in order, without their padding, and what was read is given back to the kernel."""
    reader = RingBuffer(Local(), ring.fd, SIZE)
    for data in (b"one", b"twelve bytes", b""):
        ring.write(data)
    assert reader.read(2, 0) == [b"one", b"twelve bytes"]
    assert ring.consumed() == 16 + 24
    assert reader.read(5, 0.01) == [b""]
    assert ring.consumed() == ring.position
    reader.close()


def test_ring_buffer_wraps(ring: Ring) -> None:
    """A record that goes around the end of the data is whole."""
    reader = RingBuffer(Local(), ring.fd, SIZE)
    for number in range(20):
        data = bytes([number]) * 500
        ring.write(data)
        assert reader.read(1, 0) == [data]
    assert ring.position > 2 * SIZE
    reader.close()


def test_ring_buffer_that_overwrites(ring: Ring) -> None:
    """What was overwritten is not read: the oldest record that is still there comes first, then those behind it."""
    reader = RingBuffer(Local(), ring.fd, SIZE, overwrites=True)
    ring.write(b"first")
    ring.overwrite()
    assert reader.read(1, 0) == [b"first"]
    for number in range(30):
        ring.write(bytes([number]) * 300)
        ring.overwrite()
    found = reader.read(100, 0)
    assert [data[0] for data in found] == list(range(17, 30))  # 13 records of 312 bytes fit into 4096
    assert all(len(data) == 300 for data in found)
    assert ring.consumed() == ring.position
    ring.write(b"next")
    ring.overwrite()
    assert reader.read(2, 0) == [b"next"]
    reader.close()


def test_ring_buffer_record_overwritten_while_it_is_read(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that the kernel overwrites while it is copied is not handed out."""
    reader = RingBuffer(Local(), ring.fd, SIZE, overwrites=True)
    for number in range(10):
        ring.write(bytes([number]) * 300)
    asked = []

    def oldest(at: int) -> int:
        asked.append(at)
        if len(asked) == 2:  # between the copy of the first record and the look whether it is still there
            for number in range(10, 20):
                ring.write(bytes([number]) * 300)
            ring.overwrite()
        return RingBuffer._oldest(reader, at)

    monkeypatch.setattr(reader, "_oldest", oldest)
    assert [data[0] for data in reader.read(100, 0)] == list(range(7, 20))
    reader.close()


def test_ring_buffer_busy_and_discarded(ring: Ring) -> None:
    """A discarded record is stepped over; one that is still being written holds back those behind it."""
    reader = RingBuffer(Local(), ring.fd, SIZE)
    ring.write(b"gone", DISCARD)
    ring.write(b"kept")
    at = ring.position
    ring.write(b"late", BUSY)
    ring.write(b"last")
    assert reader.read(9, 0.01) == [b"kept"]
    for copy in (2 * PAGE, 2 * PAGE + SIZE):
        struct.pack_into("=I", ring.memory, copy + at % SIZE, 4)
    assert reader.read(9, 0.01) == [b"late", b"last"]
    reader.close()


def test_user_ring_buffer(ring: Ring) -> None:
    """Samples are laid out as the kernel drains them, around the end too; those that have no room stay out."""
    writer = UserRingBuffer(Local(), ring.fd, SIZE)
    for number in range(20):  # the kernel drains each at once: the consumer's position is its own
        start = 2 * PAGE + number * 512 % SIZE
        assert writer.write([bytes([number]) * 500]) == 1
        assert struct.unpack_from("=II", ring.memory, start) == (500, 0)
        assert ring.memory[start + 8 : start + 508] == bytes([number]) * 500
        struct.pack_into("=Q", ring.memory, 0, (number + 1) * 512)
    assert struct.unpack_from("=Q", ring.memory, PAGE)[0] == 20 * 512
    assert writer.write([bytes(2000)] * 3) == 2
    assert writer.write([bytes(64), b"", b""]) == 2  # 80 bytes were left
    assert writer.write([b""]) == 0
    writer.close()


ROOM = 16 * PAGE  # bytes of data in a perf buffer


class Cpu:
    """A file that looks like one CPU's perf buffer."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("perf")
        os.ftruncate(self.fd, PAGE + ROOM)
        self.memory = mmap.mmap(self.fd, 0)
        self.head = 0

    def record(self, kind: int, body: bytes) -> None:
        body += bytes(-len(body) % 8)
        for index, byte in enumerate(struct.pack("=IHH", kind, 0, 8 + len(body)) + body):
            self.memory[PAGE + (self.head + index) % ROOM] = byte
        self.head += 8 + len(body)
        struct.pack_into("=Q", self.memory, 1024, self.head)

    def sample(self, data: bytes) -> None:
        self.record(9, struct.pack("=I", len(data)) + data)

    def tail(self) -> int:
        return int(struct.unpack_from("=Q", self.memory, 1032)[0])


class Machine(Local):
    """A machine of two CPUs, whose buffers `PerfBuffer` opens."""

    def __init__(self, cpus: list[Cpu]) -> None:
        super().__init__()
        self._cpus = cpus

    def cpus(self, which: str = "possible") -> list[int]:
        return list(range(len(self._cpus)))

    def perf_event_open(self, attributes: Fields, pid: int, cpu: int) -> int:
        return os.dup(self._cpus[cpu].fd)

    def bpf(self, command: int, attributes: Fields) -> int:
        return 0

    def ioctl(self, fd: int, request: tuple[str, int, int], argument: int = 0) -> None:
        pass


@pytest.fixture
def cpus() -> list[Cpu]:
    return [Cpu(), Cpu()]


def _buffer(cpus: list[Cpu]) -> PerfBuffer:
    return PerfBuffer(Machine(cpus), 0, 2)


def test_perf_buffer_of_every_cpu(cpus: list[Cpu]) -> None:
    """Samples of all CPUs are read, up to as many as are asked for."""
    buffer = _buffer(cpus)
    cpus[0].sample(b"a1")
    cpus[1].sample(b"b1")
    cpus[1].sample(b"b2")
    assert buffer.read(2, 0) == [b"a1", b"b1"]
    assert buffer.read(2, 0.01) == [b"b2"]
    assert [cpu.tail() for cpu in cpus] == [cpu.head for cpu in cpus]
    buffer.close()


def test_perf_buffer_counts_what_is_lost(cpus: list[Cpu]) -> None:
    """Events that the kernel had no room for are counted, not given."""
    buffer = _buffer(cpus)
    cpus[0].sample(b"seen")
    cpus[0].record(2, struct.pack("=QQ", 7, 13))
    cpus[0].record(11, bytes(16))  # a kind that means nothing here
    cpus[0].sample(b"again")
    assert buffer.read(9, 0.01) == [b"seen", b"again"]
    assert buffer.lost == 13
    buffer.close()


def test_perf_buffer_wraps(cpus: list[Cpu]) -> None:
    """A sample that goes around the end of the data pages is whole."""
    buffer = _buffer(cpus)
    for number in range(40):
        data = bytes([number]) * 3001
        cpus[0].sample(data)
        assert buffer.read(1, 0) == [data]
    assert cpus[0].head > ROOM
    buffer.close()
