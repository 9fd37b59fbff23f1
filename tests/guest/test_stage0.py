"""Stage 0 waits for a host that is not connected yet, and takes whole what comes in pieces."""

from __future__ import annotations

import os

import pytest

from everykernel import wire
from everykernel.guest import stage0


def test_it_speaks_the_wires_own_frames() -> None:
    """Its header is wire's: it cannot import wire, which arrives with the agent."""
    assert stage0.HEADER.format == wire.HEADER.format


def test_reading_waits_while_the_host_is_not_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtio port reads as ended while nobody is connected: that is no end."""
    pieces = iter([b"", b"ab", b"", b"", b"cd"])
    monkeypatch.setattr(os, "read", lambda descriptor, size: next(pieces)[:size])
    assert stage0.read_exactly(0, 4) == b"abcd"


def test_writing_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port takes at most 32 KiB at once."""
    written: list[bytes] = []

    def write(descriptor: int, data: memoryview) -> int:
        written.append(bytes(data[:3]))
        return len(written[-1])

    monkeypatch.setattr(os, "write", write)
    stage0.write_all(0, b"abcdefgh")
    assert written == [b"abc", b"def", b"gh"]
