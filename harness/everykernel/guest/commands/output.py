"""What a command writes: the beginning and the end of each stream are kept, what is between them is counted.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time

from everykernel import wire

_CHUNK = 1 << 18
_PIPE = 1 << 20  # bytes that a pipe holds, where the kernel lets us: fewer turns between who writes and who reads
_PAUSE = 0.005  # seconds in which who writes little at a time fills the pipe: each turn between the two costs as much
_F_SETPIPE_SZ = 1031  # include/uapi/linux/fcntl.h


class Kept:
    """The beginning and the end of a stream, ``keep`` bytes each."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._first = bytearray()
        self._last = bytearray()
        self._left_out = 0

    def add(self, data: bytes) -> None:
        """Take in what comes next; never holds more than three times what is kept of an end."""
        room = self._keep - len(self._first)
        self._first += data[:room]
        self._last += data[room:]
        more = len(self._last) - self._keep
        if more > self._keep:
            del self._last[:more]
            self._left_out += more

    def written(self) -> wire.Written:
        """Return what is kept."""
        more = max(0, len(self._last) - self._keep)
        return {"first": bytes(self._first), "last": bytes(self._last[more:]), "left_out": self._left_out + more}


class Stream:
    """A pipe that a thread reads to its end."""

    def __init__(self, keep: int) -> None:
        self._kept = Kept(keep)
        self._read, self.write = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._read, _F_SETPIPE_SZ, _PIPE)
        self._thread = threading.Thread(target=self._drain, daemon=True)

    def begin(self) -> None:
        """Read; the end to write to is somebody else's from now on."""
        os.close(self.write)
        self._thread.start()

    def end(self, patience: float = 1.0) -> wire.Written:
        """Return what was written once everybody closed the pipe, or after some seconds."""
        self._thread.join(patience)
        return self._kept.written()

    def _drain(self) -> None:
        while True:
            data = os.read(self._read, _CHUNK)
            if not data:
                break
            self._kept.add(data)
            if len(data) < _CHUNK // 4:
                time.sleep(_PAUSE)
        os.close(self._read)
