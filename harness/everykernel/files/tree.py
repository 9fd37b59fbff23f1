"""What of the host's files goes into a guest, and where: decided before anything boots, within bounds."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from everykernel.errors import UsageError
from everykernel.files import elf
from everykernel.files.libraries import Libraries

HOME = "/root"
"""The guest's folder in which commands run, and that relative paths start from."""
_STAGED = "/run/everykernel/files"  # libraries wait there; a command sees them under the host's paths
FILES = 20_000
SIZE = 1 << 30
"""Bounds of all that goes into one guest: files, and bytes."""


@dataclass(frozen=True)
class Item:
    """One file, folder or link.

    Attributes:
        path: in the guest.
        source: the host's file; None for folders and links.
        mode: its permissions.
        size: bytes of a file.
        link: what a symbolic link points to, "" for none.
    """

    path: str
    source: Path | None
    mode: int
    size: int = 0
    link: str = ""


@dataclass
class Tree:
    """What goes into a guest.

    Args:
        libraries: finds what programs need.
        files, size: bounds.

    Attributes:
        items: by path in the guest; folders come before what is in them.
        binds: (path in the guest, path under which a command is to find it) of libraries and interpreters.
    """

    libraries: Libraries = field(default_factory=Libraries)
    files: int = FILES
    size: int = SIZE
    items: dict[str, Item] = field(default_factory=dict)
    binds: list[tuple[str, str]] = field(default_factory=list)
    _staged: dict[str, str] = field(default_factory=dict)
    _bytes: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return self._bytes

    def add(self, source: Path, path: str, *, remedy: str = "") -> None:
        """Add a file with the libraries that it needs to start, or a folder with all that is in it.

        Version control's own folders are left out, and folders that their maker calls a cache (CACHEDIR.TAG: cargo's
        ``target``). ``remedy`` is what to do where there is too much.

        Raises UsageError for what is not there, is neither, or is too much; for a single file, if a library is missing.
        """
        if source.is_dir():
            self._folder(source, path, remedy)
            return
        if not source.exists():
            raise UsageError("there is no such file", where=str(source))
        if not source.is_file():
            raise UsageError("is neither a file nor a folder", where=str(source))
        self._file(source, path, remedy)
        if elf.is_elf(source):
            self._needs(source, path)

    def _folder(self, source: Path, path: str, remedy: str) -> None:
        for item in _walk(source, path):
            self._take(item, source, remedy)
            if item.source is not None and item.mode & 0o111 and elf.is_elf(item.source):
                try:
                    self._needs(item.source, item.path)
                except UsageError:  # not what is run, as far as anybody knows: the guest says so if it is
                    continue

    def _file(self, source: Path, path: str, remedy: str = "") -> None:
        found = source.stat()
        self._take(Item(path, source, stat.S_IMODE(found.st_mode) | 0o400, found.st_size), source, remedy)

    def _take(self, item: Item, source: Path, remedy: str) -> None:
        if item.path in self.items:
            return
        self.items[item.path] = item
        self._bytes += item.size
        if len(self.items) > self.files:
            raise UsageError(f"holds more than {self.files} files", where=str(source), remedy=remedy)
        if self._bytes > self.size:
            raise UsageError(f"holds more than {self.size >> 20} MiB", where=str(source), remedy=remedy)

    def _needs(self, source: Path, path: str) -> None:
        """Add what a program needs; of libraries that several need one copy travels."""
        for file in self.libraries.of(source, path):
            if file.path in self._staged:
                continue
            staged = f"{_STAGED}/{len(self._staged)}-{PurePosixPath(file.path).name}"
            self._staged[file.path] = staged
            self._file(file.source, staged)
            self.binds.append((staged, file.path))


def parse(text: str, folder: Path = Path()) -> tuple[Path, str]:
    """Return the host's file and the guest's path that ``FILE[:GUEST_PATH]`` means.

    Without a guest's path, a relative one stays as it is below `HOME`, of any other the name counts.

    Args:
        text: what the user says.
        folder: where relative files are.
    """
    name, colon, target = text.rpartition(":")
    if not colon or not target or (folder / text).exists():
        name, target = text, ""
    path = Path(name)
    if not target:
        parts = PurePosixPath(os.path.normpath(name)).parts
        target = path.name if path.is_absolute() or ".." in parts else "/".join(parts)
        if not target:
            raise UsageError("names no file of its own", where=text, remedy=f"{text}:GUEST_PATH")
    return folder / path, inside(target)


def inside(path: str) -> str:
    """Return a guest's path as an absolute one: a relative one is below `HOME`."""
    return os.path.normpath(f"{HOME}/{path}" if not path.startswith("/") else path)


_VERSION_CONTROL = {".git", ".hg", ".svn", ".jj"}
_CACHE_TAG = "CACHEDIR.TAG"  # https://bford.info/cachedir/


def _walk(source: Path, path: str) -> Iterator[Item]:
    """Yield a folder and all that is in it, links as they are; sockets and the like are passed over."""
    yield Item(path, None, 0o755)
    try:
        entries = sorted(os.scandir(source), key=lambda entry: entry.name)
    except OSError as e:
        raise UsageError(f"cannot be read: {(e.strerror or '').lower()}", where=str(source)) from e
    for entry in entries:
        target = f"{path.rstrip('/')}/{entry.name}"
        if entry.is_symlink():
            yield Item(target, None, 0o777, link=str(Path(entry.path).readlink()))
        elif entry.is_dir():
            if entry.name not in _VERSION_CONTROL and not os.path.exists(f"{entry.path}/{_CACHE_TAG}"):  # noqa: PTH110
                yield from _walk(Path(entry.path), target)
        elif entry.is_file():
            found = entry.stat()
            yield Item(target, Path(entry.path), stat.S_IMODE(found.st_mode) | 0o400, found.st_size)
