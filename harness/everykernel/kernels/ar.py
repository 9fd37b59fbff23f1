"""Read the outer archive of a Debian package: ar (deb(5), ar(5)), one member after the other."""

from __future__ import annotations

import io
from typing import IO, Any

_MAGIC = b"!<arch>\n"
_HEADER = 60  # name 16, mtime 12, uid 6, gid 6, mode 8, size 10, end 2
_END = b"`\n"


class Malformed(ValueError):
    """Bytes that are no such archive, or a member that is not in it."""


class Part(io.RawIOBase):
    """A member's bytes, read from the archive's file, which is nobody else's meanwhile."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what comes next; return how many bytes that were, 0 at the member's end."""
        data = self._file.read(min(len(buffer), self._left))
        if not data and self._left and len(buffer):
            raise Malformed("it ends early")
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


def member(file: IO[bytes], prefix: str) -> tuple[str, Part]:
    """Return the name and the contents of the first member whose name begins with ``prefix``.

    Raises:
        Malformed: there is none, or the file is no such archive.
    """
    if file.read(len(_MAGIC)) != _MAGIC:
        raise Malformed("it is no ar archive")
    while header := file.read(_HEADER):
        size = header[48:58].strip()
        if len(header) < _HEADER or header[58:] != _END or not size.isdigit():
            raise Malformed("the header of a member is damaged")
        name = header[:16].decode("latin-1").rstrip().rstrip("/")
        if name.startswith(prefix):
            return name, Part(file, int(size))
        file.seek(int(size) + int(size) % 2, io.SEEK_CUR)
    raise Malformed(f"it has no member {prefix}")
