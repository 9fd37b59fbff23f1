"""What sources without a signed index share: a server's listing of a folder, settings of mirrors, files by URL."""

from __future__ import annotations

import html.parser
import posixpath
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from everykernel import cache
from everykernel.errors import DownloadError, UsageError
from everykernel.kernels import mirror
from everykernel.kernels.download import Downloader
from everykernel.kernels.packages import Package
from everykernel.kernels.progress import Progress

_LINKS = 100_000  # of a listing: the largest pool's has some thousands


def setting(environ: Mapping[str, str], name: str, usual: str) -> str:
    """Return the mirror's URL that the environment says, else the usual one; raise UsageError for what is no URL."""
    url = environ.get(name, "").strip().rstrip("/") or usual
    if not re.match(r"https?://[^/]", url):
        raise UsageError(f"{url!r} is not a mirror", where=name, remedy=f"give a URL, like {usual}")
    return url


def ours(error: DownloadError, name: str) -> DownloadError:
    """Return an error of the downloader's, whose remedy now names a source's own setting."""
    error.remedy = error.remedy.replace(mirror.SETTING, name)
    return error


def vouched(url: str) -> str:
    """Return how a file that nobody signed is vouched for: ``https``, or ``none``."""
    return "https" if url.startswith("https:") else "none"


def names(page: bytes) -> list[str]:
    """Return the names of files and folders (without a slash at the end) that a server's listing in HTML links to."""
    links = _Links()
    links.feed(page.decode("utf-8", "replace"))
    return list(dict.fromkeys(name for name in links.found if name and "/" not in name and not name.startswith("?")))


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and len(self.found) < _LINKS:
            self.found += [urllib.parse.unquote(value).rstrip("/") for name, value in attrs if name == "href" and value]


def fetch(downloader: Downloader, package: Package, progress: Progress) -> Path:
    """Return the file of a package that has a URL, in the cache; by its SHA-256 where that is known."""
    own = package.sha256[:12] or "unlisted"
    path = cache.entry("packages", f"{own}-{posixpath.basename(package.filename)}")
    downloader.unlisted(package.url, path, sha256=package.sha256, description=package.name, progress=progress)
    cache.touch(path)
    return path
