"""A cell's evidence read back from its report folder; a results file may name anything, and leads nowhere else."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from everykernel.matrix.records import CaseResult

_FOLDER = re.compile(r"cells(?:/[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,99}){2,3}")
_CONSOLE = 24 << 10  # bytes of one console that are kept: its beginning and its end
_ALL = 8 << 20  # bytes of all consoles of a page


@dataclass
class Files:
    """The files of a report folder.

    Attributes:
        folder: the one that holds ``cells``, None where there is none.
        linked: whether what is written stands in that folder, and can name its files.
        left: bytes of consoles that are still read.
    """

    folder: Path | None = None
    linked: bool = False
    left: int = field(default=_ALL)

    def link(self, result: CaseResult) -> str:
        """Return the relative address of a cell's folder, "" where a page cannot name it."""
        return named(result) if self.linked else ""

    def console(self, result: CaseResult) -> str:
        """Return a cell's console, without the middle of a long one; "" where there is none, or enough was read."""
        name = named(result)
        if self.folder is None or not name or self.left <= 0:
            return ""
        text = _ends(self.folder, f"{name}/console.txt")
        self.left -= len(text)
        return text


def named(result: CaseResult) -> str:
    """Return the folder that a result names as its evidence, "" if it is not of the form that ours have."""
    name = result.get("evidence")
    return name if isinstance(name, str) and _FOLDER.fullmatch(name) else ""


def opened(folder: Path, name: str) -> int:
    """Return a descriptor of a file below ``folder``, on no part of whose way a symbolic link is followed.

    Raises OSError where there is no such regular file.
    """
    ways, _, last = name.rpartition("/")
    at = _way(folder, ways)
    try:
        found = os.open(_part(last), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise FileNotFoundError(name)
    return found


def listed(folder: Path, name: str) -> list[str]:
    """Return the names in a folder below ``folder``, found as `opened` finds files; raise OSError where it is not."""
    at = _way(folder, name)
    try:
        return sorted(os.listdir(at))  # noqa: PTH208 - of a descriptor
    finally:
        os.close(at)


def _way(folder: Path, name: str) -> int:
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in name.split("/") if name else ():
            deeper = os.open(_part(part), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = deeper
    except OSError:
        os.close(at)
        raise
    return at


def _part(name: str) -> str:
    if name in ("", ".", "..") or "\0" in name or "/" in name:
        raise FileNotFoundError(name)
    return name


def _ends(folder: Path, name: str) -> str:
    try:
        with os.fdopen(opened(folder, name), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            half = _CONSOLE // 2
            if size <= _CONSOLE:
                return file.read(_CONSOLE).decode(errors="replace")
            first = file.read(half)
            file.seek(size - half)
            left = size - _CONSOLE
            return (first + b"\n[%d bytes are left out here]\n" % left + file.read(half)).decode(errors="replace")
    except OSError:
        return ""
