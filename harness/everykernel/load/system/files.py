"""The files of a machine, and its descriptors: what is below /proc and /sys, and the files that are probed.

pathlib is slow to import where this runs, and open() without buffers reads a file in as few calls as can be.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import glob
import os
from typing import BinaryIO


class Files:
    """The files that this process sees. Everything raises OSError."""

    def read(self, path: str) -> bytes:
        """Return all that a file holds."""
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return file.readall()

    def text(self, path: str) -> str:
        """Return a small file's text without white space at its ends."""
        return self.read(path).decode("utf-8", "surrogateescape").strip()

    def file(self, path: str) -> BinaryIO:
        """Return a file to read here and there; the caller closes it."""
        return open(path, "rb")  # noqa: PTH123

    def write(self, path: str, text: str, *, append: bool = False) -> None:
        """Write text to a file that is there.

        ``append`` adds it without seeking to the end, as tracefs wants it and open() for "a" does not.
        """
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC))
        try:
            os.write(file, text.encode("utf-8", "surrogateescape"))
        finally:
            os.close(file)

    def exists(self, path: str) -> bool:
        """Whether there is anything of this name."""
        return os.path.exists(path)  # noqa: PTH110

    def is_file(self, path: str) -> bool:
        """Whether there is a file of this name."""
        return os.path.isfile(path)  # noqa: PTH113

    def programs(self) -> list[str]:
        """Return the folders where programs are."""
        return os.environ.get("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").split(":")

    def glob(self, pattern: str) -> list[str]:
        """Return the paths that a pattern names."""
        return glob.glob(pattern)  # noqa: PTH207

    def make_folder(self, path: str) -> None:
        """Make a folder."""
        os.mkdir(path)  # noqa: PTH102

    def make_folders(self, path: str) -> None:
        """Make a folder, and those that it is in, where they are missing."""
        os.makedirs(path, exist_ok=True)  # noqa: PTH103

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder."""
        os.rmdir(path)  # noqa: PTH106

    def open(self, path: str, *, folder: bool = False) -> int:
        """Return a descriptor of a file, or of what has to be a folder, for the kernel to know it by."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_DIRECTORY if folder else 0))

    def receive(self, fd: int, size: int) -> bytes:
        """Return the next bytes of a descriptor, at most ``size``, none at its end."""
        return os.read(fd, size)

    def duplicate(self, fd: int) -> int:
        """Return another descriptor of the same thing."""
        return os.dup(fd)

    def close(self, fd: int) -> None:
        """Give a descriptor back."""
        os.close(fd)
