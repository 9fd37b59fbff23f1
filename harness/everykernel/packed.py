"""What a machine that starts from nothing wants of another's cache, in one file: kernels, images, snapshots.

A pack is a tar archive, compressed by zstd at its fastest: a snapshot of 120 MB takes 36 in it. Boot snapshots are left
out, and what is in the making. Who unpacks a pack runs what is in it: it has to come from a place as trusted as the
cache itself.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import zstandard

from everykernel import cache, names
from everykernel.errors import CacheError, UsageError

FOLDERS = ("kernels", "twins", "images", "btf", "snapshots")
_LEFT_OUT = "boot-"  # snapshots that serve who changes our code
_PAGE = 4096
_PIECE = 1 << 20
_REMEDY = "make it anew, with everykernel cache pack"


def pack(target: Path) -> list[cache.Entry]:
    """Write all entries that are worth keeping into one file, and return them.

    Raises CacheError where the file cannot be written.
    """
    found = [entry for entry in cache.entries(FOLDERS) if not entry.path.name.startswith(_LEFT_OUT)]
    found.sort(key=lambda entry: entry.name)
    compressor = zstandard.ZstdCompressor(level=1, threads=-1)
    with (
        cache.write_atomically(target) as file,
        compressor.stream_writer(file, closefd=False) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for entry in found:
            with cache.using(entry.path):
                tar.add(entry.path, entry.name, filter=_plain)
    return found


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Return a member without its owner; None for what `unpack` does not take, and for notes of the cache's own."""
    if not (member.isreg() or member.isdir()) or member.name.rpartition("/")[2].startswith("."):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def unpack(source: Path) -> list[str]:
    """Bring a pack's entries into the cache, and return the names of those that were not there.

    Raises:
        UsageError: the file cannot be read, or is no pack: damaged, or with members that no pack has.
        CacheError: the cache cannot be written, or the pack holds more than the cache's limit.
    """
    new = []
    try:
        with (
            source.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file) as plain,
            tarfile.open(fileobj=plain, mode="r|") as tar,
        ):
            members = _Members(tar, str(source))
            while (name := members.entry) is not None:
                if _bring(name, members):
                    new.append(name)
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as e:
        raise UsageError(f"is no pack, or a damaged one: {e}", where=str(source), remedy=_REMEDY) from e
    except FileNotFoundError as e:
        raise UsageError("there is no such file", where=str(source), remedy=_REMEDY) from e
    return new


class _Members:
    """The members of a pack, entry by entry; each is looked at before anything of it is written."""

    def __init__(self, tar: tarfile.TarFile, where: str) -> None:
        self._tar = tar
        self._where = where
        self._left = cache.limit()
        self._next = tar.next()

    @property
    def entry(self) -> str | None:
        """The entry that comes next (``kernels/NAME``), None at the end."""
        return "/".join(self._path(self._next)[:2]) if self._next is not None else None

    @property
    def alone(self) -> bool:
        """Whether the entry that comes next is one file."""
        return self._next is not None and self._next.isreg() and self._next.name.count("/") == 1

    def of(self, entry: str) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes] | None]]:
        """Yield each member of an entry: its path inside, itself, and the contents of a file."""
        while self._next is not None and self.entry == entry:
            member = self._next
            yield "/".join(self._path(member)[2:]), member, self._tar.extractfile(member)
            self._next = self._tar.next()

    def count(self, size: int) -> None:
        """Note that so many bytes were unpacked; raise CacheError for more than the cache may hold."""
        self._left -= size
        if self._left < 0:
            text = f"unpacks to more than the cache's limit of {cache.limit() / 1e9:g} GB"
            raise CacheError(text, where=self._where, remedy=f"set {cache.LIMIT_SETTING} to more")

    def _path(self, member: tarfile.TarInfo) -> list[str]:
        parts = member.name.split("/")
        for part in parts:
            names.checked(part, "a member of a pack", where=self._where, error=UsageError, remedy=_REMEDY)
        if len(parts) < 2 or parts[0] not in FOLDERS or not (member.isreg() or member.isdir()):
            raise UsageError(f"{member.name!r} is nothing that a pack has", where=self._where, remedy=_REMEDY)
        return parts


def _bring(name: str, members: _Members) -> bool:
    """Write one entry, unless it is there; return whether it was not."""
    folder, _, last = name.partition("/")
    path = cache.entry(folder, last)
    with cache.lock(name):
        if path.exists():
            for _ in members.of(name):
                pass
            return False
        if members.alone:
            with cache.write_atomically(path) as file:
                for _, member, content in members.of(name):
                    _fill(file, member, content, members)
            return True
        with cache.make_folder(path) as temporary:
            for inside, member, content in members.of(name):
                target = temporary / inside
                if content is None:
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    _fill(file, member, content, members)
                target.chmod(0o755 if member.mode & stat.S_IXUSR else 0o644)
                os.utime(target, (member.mtime, member.mtime))
        return True


def _fill(file: IO[bytes], member: tarfile.TarInfo, content: IO[bytes] | None, members: _Members) -> None:
    """Write a file's contents, its pages of zeros as holes."""
    nothing = bytes(_PAGE)
    file.truncate(member.size)
    while content is not None and (piece := content.read(_PIECE)):
        for at in range(0, len(piece), _PAGE):
            page = piece[at : at + _PAGE]
            if page == nothing[: len(page)]:
                file.seek(len(page), os.SEEK_CUR)
            else:
                file.write(page)
                members.count(len(page))
