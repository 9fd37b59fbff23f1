"""The host's end of the channel to the agent: frames, numbered requests, deadlines."""

from __future__ import annotations

import select
import socket
import time

from everykernel import wire


class ChannelClosed(Exception):
    """QEMU closed its end: it has ended."""


class DeadlinePassed(Exception):
    """Nothing more came before the deadline."""


class Channel:
    """A stream of frames over our end of a connected socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._end.setblocking(False)
        self._received = bytearray()

    def send(self, frame: bytes, deadline: float) -> None:
        """Send one frame whole; raise DeadlinePassed (in `time.monotonic` seconds) or ChannelClosed."""
        view = memoryview(frame)
        while view:
            try:
                view = view[self._end.send(view) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
            except OSError as e:
                raise ChannelClosed from e

    def receive_raw(self, deadline: float) -> tuple[bytes, bytes]:
        """Return text and blob of the next frame; raise DeadlinePassed, ChannelClosed, or GuestLost for nonsense."""
        text, blob = wire.lengths(self._take(wire.HEADER.size, deadline))
        return self._take(text, deadline), self._take(blob, deadline)

    def receive(self, deadline: float) -> tuple[int, wire.Message]:
        """Return number and message of the next frame; raises as `receive_raw` does."""
        return wire.decode(*self.receive_raw(deadline))

    def _take(self, size: int, deadline: float) -> bytes:
        while len(self._received) < size:
            try:
                data = self._end.recv(1 << 20)
            except BlockingIOError:
                self._wait(select.POLLIN, deadline)
                continue
            except OSError as e:
                raise ChannelClosed from e
            if not data:
                raise ChannelClosed
            self._received += data
        out = bytes(self._received[:size])
        del self._received[:size]
        return out

    def _wait(self, event: int, deadline: float) -> None:
        left = deadline - time.monotonic()
        poll = select.poll()
        poll.register(self._end, event)
        if left <= 0 or not poll.poll(left * 1000):
            raise DeadlinePassed

    def close(self) -> None:
        """Close our end."""
        self._end.close()
