"""What is inside a Debian package (deb(5)): an ar archive, in it a compressed tar archive with the files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from everykernel.kernels import ar
from everykernel.kernels.bounded import Stream
from everykernel.kernels.formats import tar
from everykernel.kernels.formats.members import LARGEST, Members, explained


def unpack(deb: Path, *, largest: int = LARGEST) -> Members:
    """Yield each member of a package's data archive with its content (None unless it is a regular file).

    Read the content before asking for the next member. Names are relative (``usr/bin/python3.11``), and none leads
    outside of the folder that it is unpacked in.

    Raises:
        DownloadError: the package is damaged, holds more than ``largest`` bytes, or a name that leads elsewhere.
    """
    with explained(deb), deb.open("rb") as file, _data(file, largest) as stream:
        yield from tar.members(stream, deb)


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
