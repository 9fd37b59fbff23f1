"""Decompression that a bomb does not hurt: piece by piece, with a ceiling on what comes out and on the window.

A few kilobytes of xz, zstd or gzip can stand for terabytes, and a header can ask for gigabytes of window. Whoever
decompresses here says how much there may be; memory stays within that and `WINDOW`.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import zstandard

# The largest windows in use are 128 MiB: of kernels in xz (Linux scripts/xz_wrap.sh) and in zstd -22 --ultra.
WINDOW = 256 << 20
_CHUNK = 64 << 10  # bytes of input at a time
_STEP = 1 << 20  # bytes of output at a time
_ZSTD_CHUNK = 512  # its decompressor knows no limit: four bytes give 128 KiB at most, so these give 16 MiB


class Damaged(ValueError):
    """The data is not sound, ends early, or is more than the ceiling; the caller says what and where it was."""


class _Gzip:
    """zlib's decompressor with the interface of lzma's."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self.needs_input = True

    def decompress(self, data: bytes, limit: int) -> bytes:
        out = self._zlib.decompress(self._zlib.unconsumed_tail + data, limit)
        self.needs_input = not self._zlib.unconsumed_tail and len(out) < limit
        return out

    eof = property(lambda self: self._zlib.eof)
    unused_data = property(lambda self: self._zlib.unused_data)


class _Zstd:
    """zstandard's decompressor with the interface of lzma's; it takes its input in small bites."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj()
        self._data, self._at = b"", 0

    def decompress(self, data: bytes, limit: int) -> bytes:
        if data:
            self._data, self._at = self._data[self._at :] + data, 0
        bite = self._data[self._at : self._at + _ZSTD_CHUNK]
        self._at += len(bite)
        return self._zstd.decompress(bite)

    eof = property(lambda self: self._zstd.eof)
    needs_input = property(lambda self: self._at >= len(self._data))
    unused_data = property(lambda self: self._zstd.unused_data + self._data[self._at :])


_UNPACKERS: dict[str, Callable[[], Any]] = {
    "xz": lambda: lzma.LZMADecompressor(memlimit=WINDOW),  # .xz and .lzma
    "bz2": bz2.BZ2Decompressor,
    "gz": _Gzip,
    "zst": _Zstd,
}


def pieces(read: Callable[[int], bytes], kind: str, *, lax: bool = False) -> Iterator[bytes]:
    """Yield what ``read`` gives, decompressed, some MiB at a time; nothing limits the sum.

    Args:
        read: returns at most so many bytes, b"" at the end.
        kind: ``xz`` (or lzma), ``zst``, ``gz`` or ``bz2``.
        lax: what follows the first stream is ignored, as behind the kernel in an image; else more streams may follow.

    Raises:
        Damaged: the data is not sound, or ends early.
    """
    data = read(_CHUNK)
    if not data:
        raise Damaged("it is empty")
    while data:
        unpacker = _UNPACKERS[kind]()
        while True:
            try:
                piece = unpacker.decompress(data, _STEP)
            except (lzma.LZMAError, zlib.error, zstandard.ZstdError, OSError, EOFError, MemoryError) as e:
                raise Damaged(f"{e or type(e).__name__}") from e
            if piece:
                yield piece
            if unpacker.eof:
                break
            data = read(_CHUNK) if unpacker.needs_input else b""
            if unpacker.needs_input and not data:
                raise Damaged("it ends early")
        data = b"" if lax else _next(unpacker.unused_data, read)


def _next(data: bytes, read: Callable[[int], bytes]) -> bytes:
    """Return the beginning of the next stream, b"" if only padding is left."""
    data = data.lstrip(b"\0")
    while not data and (more := read(_CHUNK)):
        data = more.lstrip(b"\0")
    return data


def decompress(data: bytes, kind: str, ceiling: int, *, lax: bool = False) -> bytes:
    """Return ``data`` decompressed, at most ``ceiling`` bytes; raises as `pieces` does, and Damaged for more."""
    with Stream(io.BytesIO(data).read, kind, ceiling, lax=lax) as stream:
        return stream.readall()


class Stream(io.RawIOBase):
    """A file of what `pieces` gives, to be read once from its beginning; reading past ``ceiling`` raises Damaged."""

    def __init__(self, read: Callable[[int], bytes], kind: str, ceiling: int, *, lax: bool = False) -> None:
        self._pieces = pieces(read, kind, lax=lax)
        self._ceiling, self._come = ceiling, 0
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what comes next; return how many bytes that were, 0 at the end."""
        if not self._piece:
            self._piece = memoryview(next(self._pieces, b""))
            self._come += len(self._piece)
            if self._come > self._ceiling:
                raise Damaged(f"it unpacks to more than {self._ceiling >> 20} MiB")
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count
