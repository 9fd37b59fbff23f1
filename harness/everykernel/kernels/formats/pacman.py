"""What is inside a package of pacman's (makepkg(8)): a compressed tar archive."""

from __future__ import annotations

import io
from pathlib import Path

from everykernel.kernels.bounded import Stream
from everykernel.kernels.formats import tar
from everykernel.kernels.formats.members import LARGEST, Malformed, Members, explained

_MAGICS = {b"\x28\xb5\x2f\xfd": "zst", b"\xfd7zX": "xz", b"\x1f\x8b": "gz"}


def unpack(package: Path, *, largest: int = LARGEST) -> Members:
    """Yield each member of a package with its content (None unless it is a regular file).

    Read the content before asking for the next member. Names are relative (``usr/lib/modules/…``).

    Raises:
        DownloadError: the package is damaged, holds more than ``largest`` bytes, or a name that leads elsewhere.
    """
    with explained(package), package.open("rb") as file:
        kind = next((kind for magic, kind in _MAGICS.items() if file.peek(4).startswith(magic)), None)
        if kind is None:
            raise Malformed("it is compressed neither with zstd nor with xz")
        stream = io.BufferedReader(Stream(file.read, kind, largest), 1 << 20)
        yield from tar.members(stream, package, kind=tar.PaxMember)
