"""Read cpio archives of the new ASCII format (Linux Documentation/driver-api/early-userspace/buffer-format.rst)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from everykernel.kernels.formats.members import Malformed

_MAGICS = (b"070701", b"070702")  # without and with a checksum, which covers nothing that digests do not
_HEADER = 110  # bytes: the magic, and 13 numbers of 8 hexadecimal digits
_END = "TRAILER!!!"
_NAME = 4096  # bytes of a name (PATH_MAX)


@dataclass(frozen=True)
class Member:
    """One member: its name as it stands there, its mode with the file's type (inode(7)), its size in bytes."""

    name: str
    mode: int
    size: int


class _Part(io.RawIOBase):
    """A member's bytes, read from the archive's stream, which is nobody else's meanwhile."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self.left = stream, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(min(len(buffer), self.left))
        if not data and self.left and len(buffer):
            raise Malformed("it ends early")
        buffer[: len(data)] = data
        self.left -= len(data)
        return len(data)


def members(stream: IO[bytes]) -> Iterator[tuple[Member, io.RawIOBase]]:
    """Yield each member with its content, to be read before the next is asked for, or passed over.

    Raises:
        Malformed: the stream is no such archive, or ends early.
    """
    while True:
        header = _exactly(stream, _HEADER)
        if header[:6] not in _MAGICS:
            raise Malformed("the header of a member is damaged")
        numbers = [int(header[at : at + 8], 16) for at in range(6, _HEADER, 8)]
        mode, size, length = numbers[1], numbers[6], numbers[11]
        if not 0 < length <= _NAME:
            raise Malformed(f"a name of {length} bytes")
        name = _exactly(stream, length + -(_HEADER + length) % 4)[: length - 1].decode("utf-8", "surrogateescape")
        if name == _END:
            return
        part = _Part(stream, size)
        yield Member(name, mode, size), part
        while part.read(1 << 20):
            pass
        _exactly(stream, -size % 4)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    """Return the next ``size`` bytes; raise Malformed if there are fewer."""
    data = stream.read(size)
    if len(data) < size:
        raise Malformed("it ends early")
    return data
