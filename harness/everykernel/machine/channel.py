"""The host's end of the channel to the agent: frames, numbered requests, deadlines."""

from __future__ import annotations

import select
import socket
import time

from everykernel import wire
from everykernel.remote.stream import DeadlinePassed
from everykernel.remote.stream import StreamClosed as ChannelClosed

__all__ = ["Channel", "ChannelClosed", "DeadlinePassed", "Frame"]

Frame = tuple[bytes, bytes]  # text and blob


class Channel:
    """A stream of frames over our end of a connected socket; of bytes, where the far end is `everykernel.remote`'s."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._end.setblocking(False)
        self._received = bytearray()

    def send(self, data: bytes, deadline: float) -> None:
        """Send one frame whole; raise DeadlinePassed (in `time.monotonic` seconds) or ChannelClosed."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._end.send(view) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
                continue
            except OSError as e:
                raise ChannelClosed from e
            if view and time.monotonic() > deadline:
                raise DeadlinePassed

    def receive(self, deadline: float, text_limit: int = wire.LIMIT, blob_limit: int = wire.LIMIT) -> Frame:
        """Return text and blob of the next frame; raise DeadlinePassed, ChannelClosed, or GuestLost for nonsense.

        A frame that is not whole by its deadline is not lost: the next call goes on with it.
        """
        start = wire.HEADER.size
        self._fill(start, deadline)
        text, blob = wire.lengths(self._received[:start], text_limit, blob_limit)
        end = start + text + blob
        self._fill(end, deadline)
        frame = bytes(self._received[start : start + text]), bytes(self._received[start + text : end])
        del self._received[:end]
        return frame

    def take(self, size: int, deadline: float) -> bytes:
        """Return exactly the next ``size`` bytes; raise DeadlinePassed or ChannelClosed."""
        self._fill(size, deadline)
        found = bytes(self._received[:size])
        del self._received[:size]
        return found

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._received)

    def _fill(self, size: int, deadline: float) -> None:
        """Receive until there are ``size`` bytes; the clock is looked at after each part."""
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
            if len(self._received) < size and time.monotonic() > deadline:
                raise DeadlinePassed

    def _wait(self, event: int, deadline: float) -> None:
        left = deadline - time.monotonic()
        poll = select.poll()
        poll.register(self._end, event)
        if left <= 0 or not poll.poll(left * 1000):
            raise DeadlinePassed

    def close(self) -> None:
        """Close our end."""
        self._end.close()
