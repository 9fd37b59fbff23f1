"""What is inside a Debian package (deb(5)): an ar archive, in it a compressed tar archive with the files."""

from __future__ import annotations

import contextlib
import io
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from everykernel.errors import DownloadError
from everykernel.kernels import ar
from everykernel.kernels.bounded import Damaged, Stream

# Bytes that a package unpacks to: a kernel with its debug information, the largest that is read here, has some 6 GB.
LARGEST = 16 << 30
MEMBERS = 200_000  # of a package: the headers of a kernel have some 20,000
_NAMES = 64 << 10  # bytes of a name that is too long for a header: paths have 4096 at most (PATH_MAX)
_LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
# What dpkg takes (deb(5)), but not what tarfile reads into memory whole: PAX headers, maps of sparse files.
_TYPES = (
    tarfile.REGTYPE,
    tarfile.AREGTYPE,
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
    tarfile.CONTTYPE,
    *_LONG_NAMES,
)


class Member(tarfile.TarInfo):
    """A member of a tar archive, of the kinds that dpkg takes."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Member:
        """Return the member that a header describes; raise tarfile.ReadError for one of another kind."""
        member = super().frombuf(buf, encoding, errors)
        if member.type not in _TYPES:
            raise tarfile.ReadError(f"a member of type {member.type!r} (tar --format=ustar writes none)")
        if member.type in _LONG_NAMES and member.size > _NAMES:
            raise tarfile.ReadError(f"a name of {member.size} bytes")
        return member


def unpack(deb: Path, *, largest: int = LARGEST) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Yield each member of a package's data archive with its content (None unless it is a regular file).

    Read the content before asking for the next member. Names are relative (``usr/bin/python3.11``), and none leads
    outside of the folder that it is unpacked in.

    Raises:
        DownloadError: the package is damaged, holds more than ``largest`` bytes, or a name that leads elsewhere.
    """
    with _explained(deb), deb.open("rb") as file, _data(file, largest) as stream:
        yield from _members(stream, deb)


@contextlib.contextmanager
def _explained(deb: Path) -> Iterator[None]:
    """Turn what is wrong with a package into an error that says so."""
    try:
        yield
    except (ar.Malformed, tarfile.TarError, Damaged, EOFError) as e:
        remedy = "delete it, so that it is downloaded again"
        raise DownloadError(f"not a sound package: {e}", where=str(deb), remedy=remedy) from e


class _Content(io.RawIOBase):
    """A member's content, whose damage is the package's: it is read by whoever asked for the member."""

    def __init__(self, file: IO[bytes], deb: Path) -> None:
        self._file, self._deb = file, deb

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _explained(self._deb):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _data(file: IO[bytes], largest: int) -> IO[bytes]:
    """Return the plain tar stream of a package's data archive, unpacked by the end of its name (deb(5))."""
    name, part = ar.member(file, "data.tar")
    kind = name.removeprefix("data.tar").removeprefix(".")
    if kind not in ("xz", "zst", "gz", "bz2", "lzma", ""):
        raise ar.Malformed(f"unknown compression {name!r}")
    buffered = io.BufferedReader(part, 1 << 16)
    if not kind:
        return buffered
    return io.BufferedReader(Stream(buffered.read, kind.replace("lzma", "xz"), largest), 1 << 20)


def _members(stream: IO[bytes], deb: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=Member) as tar:
        for number, member in enumerate(tar):
            if number == MEMBERS:
                raise ar.Malformed(f"it holds more than {MEMBERS} members")
            member.name = _relative(member.name, deb)
            if member.islnk():
                member.linkname = _relative(member.linkname, deb)
            content = tar.extractfile(member) if member.isreg() else None
            yield member, io.BufferedReader(_Content(content, deb), 1 << 20) if content is not None else None


def _relative(name: str, deb: Path) -> str:
    """Return a member's name without ``./``; raise DownloadError if it leads outside."""
    normal = posixpath.normpath(name)
    if normal.startswith(("/", "..")) or "\0" in normal:
        raise DownloadError(f"a member leads outside of the package: {name!r}", where=str(deb))
    return normal
