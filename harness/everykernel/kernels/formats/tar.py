"""Tar archives as packages and image layers hold them: one pass, nothing read into memory whole."""

from __future__ import annotations

import io
import tarfile
from typing import IO

from everykernel.kernels.formats.members import Content, Members, counted, relative

_NAMES = (
    64 << 10
)  # bytes of a name that is too long for a header (paths have 4096 at most, PATH_MAX), or of PAX headers
_LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE)
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

    types: tuple[bytes, ...] = _TYPES

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Member:
        """Return the member that a header describes; raise tarfile.ReadError for one of another kind."""
        member = super().frombuf(buf, encoding, errors)
        if member.type not in cls.types:
            raise tarfile.ReadError(f"a member of type {member.type!r} (tar --format=ustar writes none)")
        if member.type in (*_LONG_NAMES, *_PAX) and member.size > _NAMES:
            raise tarfile.ReadError(f"a name of {member.size} bytes")
        return member


class PaxMember(Member):
    """A member with PAX headers, which bsdtar (pacman) and Go (image layers) write; but no map of a sparse file."""

    types = (*_TYPES, *_PAX)

    def _proc_gnusparse_10(self, *_: object) -> None:
        """Refuse the one kind of map that stands in the content, and so has no bound."""
        raise tarfile.ReadError("a sparse file")


def members(stream: IO[bytes], where: object, *, kind: type[Member] = Member) -> Members:
    """Yield each member of a plain tar stream with its content (None unless it is a regular file).

    Read the content before asking for the next member. Names are relative, and none leads outside.

    Raises:
        tarfile.TarError, ValueError: the archive is damaged, or has too many members (`members.explained` says so).
        DownloadError: a name leads elsewhere.
    """
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=kind) as tar:
        for number, member in enumerate(tar):
            counted(number)
            member.name = relative(member.name, where)
            if member.islnk():
                member.linkname = relative(member.linkname, where)
            content = tar.extractfile(member) if member.isreg() else None
            yield member, io.BufferedReader(Content(content.read, where), 1 << 20) if content is not None else None
