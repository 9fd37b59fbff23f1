"""The stream of bytes to a program: whatever has two ends and takes deadlines."""

from __future__ import annotations

import os
import select
import time
from typing import Protocol


class StreamClosed(Exception):
    """The far end closed the stream."""


class DeadlinePassed(Exception):
    """Nothing more came, or went, before the deadline."""


class Stream(Protocol):
    """Bytes to and from a program. Deadlines are in `time.monotonic` seconds; both raise what is above."""

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of ``data``."""

    def take(self, size: int, deadline: float) -> bytes:
        """Return exactly the next ``size`` bytes."""


class Pipes:
    """A stream over two descriptors: a process's standard streams, a serial line (twice the same)."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        self._received = bytearray()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of ``data``."""
        view = memoryview(data)
        while view:
            _wait(self._writer, select.POLLOUT, deadline)
            try:
                view = view[os.write(self._writer, view) :]
            except BlockingIOError:
                continue
            except OSError as e:
                raise StreamClosed from e

    def take(self, size: int, deadline: float) -> bytes:
        """Return exactly the next ``size`` bytes."""
        while len(self._received) < size:
            _wait(self._reader, select.POLLIN, deadline)
            try:
                data = os.read(self._reader, 1 << 20)
            except BlockingIOError:
                continue
            except OSError as e:
                raise StreamClosed from e
            if not data:
                raise StreamClosed
            self._received += data
        found = bytes(self._received[:size])
        del self._received[:size]
        return found


def _wait(descriptor: int, event: int, deadline: float) -> None:
    left = deadline - time.monotonic()
    poll = select.poll()
    poll.register(descriptor, event)
    if left <= 0 or not poll.poll(left * 1000):
        raise DeadlinePassed
