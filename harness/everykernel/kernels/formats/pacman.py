"""What is inside a package of pacman's (makepkg(8)), and which packages a folder of an archive's server has."""

from __future__ import annotations

import html.parser
import io
import re
import urllib.parse
from pathlib import Path

from everykernel.kernels.bounded import Stream
from everykernel.kernels.formats import tar
from everykernel.kernels.formats.members import LARGEST, Malformed, Members, explained

_MAGICS = {b"\x28\xb5\x2f\xfd": "zst", b"\xfd7zX": "xz", b"\x1f\x8b": "gz"}
_LINKS = 20_000  # of a folder's listing: the archive has some 900 releases of a kernel, each with its signature


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


def versions(listing: bytes, name: str, arch: str) -> dict[str, str]:
    """Return the versions of a package (``6.12.9.arch1-1``) that a server's listing of a folder has, with their files.

    Args:
        listing: the page, in HTML: all that counts are its links.
        name: ``linux-lts``, which is not to be taken for ``linux``.
        arch: ``x86_64``.
    """
    links = _Links()
    links.feed(listing.decode("utf-8", "replace"))
    pattern = re.compile(rf"{re.escape(name)}-(?P<version>\d[^-/]*-\d[^-/]*)-{re.escape(arch)}\.pkg\.tar\.(?:zst|xz)")
    matches = (pattern.fullmatch(urllib.parse.unquote(link)) for link in links.found)
    return {match["version"]: match[0] for match in matches if match}


class _Links(html.parser.HTMLParser):
    """The targets of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and len(self.found) < _LINKS:
            self.found += [value for name, value in attrs if name == "href" and value]
