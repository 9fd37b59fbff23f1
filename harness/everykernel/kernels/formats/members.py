"""What every kind of package has in common: members with names, contents to be read once, bounds, and one error."""

from __future__ import annotations

import contextlib
import io
import posixpath
import struct
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, Any, TypeAlias

from everykernel.errors import DownloadError

# Bytes that a package unpacks to: a kernel with its debug information, the largest that is read here, has some 6 GB.
LARGEST = 16 << 30
MEMBERS = 200_000  # of a package: the headers of a kernel have some 20,000
Members: TypeAlias = Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]


class Malformed(ValueError):
    """Bytes that are no such package; the caller says what and where it was."""


@contextlib.contextmanager
def explained(where: object) -> Iterator[None]:
    """Turn what is wrong with a package (`Malformed` and Damaged are ValueErrors) into an error that says so."""
    try:
        yield
    except (ValueError, OverflowError, struct.error, tarfile.TarError, EOFError) as e:
        remedy = "delete it, so that it is downloaded again"
        raise DownloadError(f"not a sound package: {e}", where=str(where), remedy=remedy) from e


class Content(io.RawIOBase):
    """A member's content, whose damage is the package's: it is read by whoever asked for the member.

    Args:
        read: returns at most so many bytes, b"" at the end.
        where: the package, for errors.
    """

    def __init__(self, read: Callable[[int], bytes], where: object) -> None:
        self._read, self._where = read, where

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what comes next; return how many bytes that were, 0 at the end."""
        with explained(self._where):
            data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def relative(name: str, where: object) -> str:
    """Return a member's name without ``./``; raise DownloadError if it leads outside."""
    normal = posixpath.normpath(name)
    if normal.startswith(("/", "..")) or "\0" in normal:
        raise DownloadError(f"a member leads outside of the package: {name!r}", where=str(where))
    return normal


def counted(number: int) -> None:
    """Raise Malformed for a package's member after the last that it may have."""
    if number >= MEMBERS:
        raise Malformed(f"it holds more than {MEMBERS} members")
