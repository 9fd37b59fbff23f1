"""Frames arrive whole however the stream cuts them, and no wait is longer than its deadline."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from everykernel import wire
from everykernel.errors import GuestLost
from everykernel.machine.channel import Channel, ChannelClosed, DeadlinePassed


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    with theirs:
        yield channel, theirs
    channel.close()


def soon() -> float:
    return time.monotonic() + 5


def test_a_frame_in_pieces(ends: tuple[Channel, socket.socket]) -> None:
    """Bytes that come one by one are still one message; the next message is not lost."""
    channel, theirs = ends
    frames = wire.encode(3, wire.Value(b"\0\1")) + wire.encode(4, wire.Done())

    def send() -> None:
        for byte in frames:
            theirs.send(bytes([byte]))

    sender = threading.Thread(target=send)
    sender.start()
    assert wire.decode(*channel.receive(soon())) == (3, wire.Value(b"\0\1"))
    assert wire.decode(*channel.receive(soon())) == (4, wire.Done())
    sender.join()


def test_a_frame_larger_than_any_buffer(ends: tuple[Channel, socket.socket]) -> None:
    """Sending waits for a reader that takes its time."""
    channel, theirs = ends
    frame = wire.encode(1, wire.Push("/x", bytes(5 << 20)))
    received = bytearray()

    def read() -> None:
        while len(received) < len(frame):
            received.extend(theirs.recv(1 << 16))

    reader = threading.Thread(target=read)
    reader.start()
    channel.send(frame, soon())
    reader.join()
    assert received == frame


def test_silence_ends_at_the_deadline(ends: tuple[Channel, socket.socket]) -> None:
    """Nothing, or half a frame, is not waited for any longer; the half is not lost."""
    channel, theirs = ends
    theirs.send(wire.encode(1, wire.Done())[:10])
    started = time.monotonic()
    with pytest.raises(DeadlinePassed):
        channel.receive(started + 0.05)
    assert 0.04 < time.monotonic() - started < 2
    assert channel.pending == 10
    theirs.send(wire.encode(1, wire.Done())[10:])
    assert wire.decode(*channel.receive(soon())) == (1, wire.Done())
    assert channel.pending == 0


def keep_sending(end: socket.socket, data: bytes) -> threading.Thread:
    """Send the data again and again, as fast as it is taken, until the other end closes."""

    def send() -> None:
        with contextlib.suppress(OSError):
            while True:
                end.sendall(data)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def test_a_guest_that_keeps_talking_does_not_move_the_deadline(ends: tuple[Channel, socket.socket]) -> None:
    """A frame whose next part is always there already ends at its deadline too."""
    channel, theirs = ends
    theirs.send(wire.HEADER.pack(200 << 20, 200 << 20))
    talker = keep_sending(theirs, b"x")
    started = time.monotonic()
    with pytest.raises(DeadlinePassed):
        channel.receive(started + 0.3)
    assert time.monotonic() - started < 2
    channel.close()
    talker.join(5)


def test_a_reader_that_takes_a_little_does_not_move_the_deadline(ends: tuple[Channel, socket.socket]) -> None:
    """A frame that is taken part by part, always in time for the next, ends at its deadline too."""
    channel, theirs = ends
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            theirs.recv(1 << 16)
            time.sleep(0.001)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    started = time.monotonic()
    with pytest.raises(DeadlinePassed):
        channel.send(bytes(1 << 30), started + 0.3)
    assert time.monotonic() - started < 2
    ended.set()
    channel.close()
    reader.join(5)


@pytest.mark.parametrize("lengths", [(101, 0), (0, 11)])
def test_a_frame_longer_than_its_limit(ends: tuple[Channel, socket.socket], lengths: tuple[int, int]) -> None:
    """What is too long is refused by its header: not one byte more is kept."""
    channel, theirs = ends
    theirs.send(wire.HEADER.pack(*lengths))
    message = rf"the channel's stream is broken: a frame of {lengths[0]} \+ {lengths[1]} bytes"
    with pytest.raises(GuestLost, match=message):
        channel.receive(soon(), text_limit=100, blob_limit=10)


def test_nobody_reads(ends: tuple[Channel, socket.socket]) -> None:
    """Sending ends at the deadline too."""
    channel, _ = ends
    with pytest.raises(DeadlinePassed):
        channel.send(bytes(50 << 20), time.monotonic() + 0.05)


def test_the_other_end_closes(ends: tuple[Channel, socket.socket]) -> None:
    """A closed stream is told apart from a silent one, for both directions."""
    channel, theirs = ends
    theirs.close()
    with pytest.raises(ChannelClosed):
        channel.receive(soon())
    with pytest.raises(ChannelClosed):
        channel.send(b"x", soon())


def test_nonsense(ends: tuple[Channel, socket.socket]) -> None:
    """A stream that is not ours is an error, not a wait for four gigabytes."""
    channel, theirs = ends
    theirs.send(b"\xff" * 8)
    with pytest.raises(GuestLost, match="the channel's stream is broken"):
        channel.receive(soon())
