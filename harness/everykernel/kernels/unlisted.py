"""Files behind URLs that no index lists: had once, then found in the cache by their digest.

``btf/url-<SHA-256 of the URL>.json`` says which bytes a URL gave, ``btf/file-<SHA-256>SUFFIX`` has them. Nobody signs
such a file: HTTPS vouches for where it came from, or nothing does, and whoever uses it says which. What a server does
not have it is asked for once in a process.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock

from everykernel import cache
from everykernel.errors import DownloadError
from everykernel.kernels.download import Downloader, NotThere, shown
from everykernel.kernels.progress import SILENT, Progress

_REMEDY = "look at the URL, the network and the proxy settings"
_failed: dict[str, DownloadError] = {}  # by URL: why it could not be had
_lock = threading.Lock()


@dataclass(frozen=True)
class File:
    """A file that came from a URL.

    Attributes:
        path: where it is in the cache; kept there until this process ends.
        url: where it came from, as it may be shown.
        sha256: hex.
        signed: how it is vouched for: ``https`` or ``none``.
    """

    path: Path
    url: str
    sha256: str
    signed: str


def first(urls: Sequence[str], suffixes: Sequence[str], *, limit: int, progress: Progress = SILENT) -> File | None:
    """Return the first of several URLs' files that is to be had, the cache's before the servers'; None if none is.

    Args:
        urls: where it may be, the likeliest first.
        suffixes: how a file's name may end: its name in the cache ends so too.
        limit: bytes that it may have.
        progress: where the download is shown.

    Raises:
        DownloadError: a server cannot be asked, or gives too much: what is behind the others is not asked for then.
        CacheError: the cache cannot be written.
    """
    for url in urls:
        if (found := _kept(url, suffixes)) is not None:
            return found
    for url in urls:
        try:
            return _have(url, suffixes, limit, progress)
        except NotThere:
            continue
    return None


def _have(url: str, suffixes: Sequence[str], limit: int, progress: Progress) -> File:
    """Return a file, asking its server at most once in this process."""
    with alone(url):
        if (found := _kept(url, suffixes)) is not None:  # another thread or process had it meanwhile
            return found
        with _lock:
            failure = _failed.get(url)
        if failure is not None:
            raise failure
        path = cache.entry("btf", f"{_note(url).stem}.new")
        try:
            download(url, path, limit=limit, progress=progress)
        except DownloadError as e:
            with _lock:
                _failed[url] = e
            raise
        sha256 = digest(path)
        with cache.explained(path):
            path.replace(_place(url, sha256, suffixes))
        remember(url, sha256)
    found = _kept(url, suffixes)
    assert found is not None
    return found


def alone(url: str) -> filelock.FileLock:
    """Return the lock under which a URL's file is had: other threads and processes that want it wait, and find it."""
    return cache.lock(f"btf/{_note(url).name}")


def download(url: str, path: Path, *, limit: int, progress: Progress = SILENT) -> Path:
    """Download a URL's file to a path; raises as `Downloader.unlisted` does."""
    name = url.partition("?")[0].rpartition("/")[2]
    try:
        return _downloader().unlisted(url, path, limit=limit, description=name, progress=progress)
    except DownloadError as e:
        e.remedy = _REMEDY
        raise


def digest(path: Path) -> str:
    """Return a file's SHA-256 (hex)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def vouched(url: str) -> str:
    """Return how what a URL gives is vouched for: ``https``, or ``none``."""
    return "https" if url.startswith("https:") else "none"


def remember(url: str, sha256: str) -> None:
    """Note which bytes a URL gave."""
    cache.write(_note(url), json.dumps({"url": shown(url), "sha256": sha256}).encode())


def recall(url: str) -> str:
    """Return the SHA-256 (hex) of what a URL gave before, "" if that is not known."""
    note = _note(url)
    try:
        sha256 = json.loads(note.read_bytes())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    cache.touch(note)
    return sha256 if isinstance(sha256, str) and re.fullmatch(r"[0-9a-f]{64}", sha256) else ""


def _kept(url: str, suffixes: Sequence[str]) -> File | None:
    """Return what the cache has of a URL, None where that is nothing, or no longer what it was."""
    sha256 = recall(url)
    if not sha256:
        return None
    path = _place(url, sha256, suffixes)
    cache.hold(path)
    try:
        if digest(path) != sha256:
            return None
    except FileNotFoundError:
        return None
    cache.touch(path)
    return File(path, shown(url), sha256, vouched(url))


def _note(url: str) -> Path:
    return cache.entry("btf", f"url-{hashlib.sha256(url.encode()).hexdigest()}.json")


def _place(url: str, sha256: str, suffixes: Sequence[str]) -> Path:
    path = url.partition("?")[0]
    suffix = next((one for one in suffixes if path.endswith(one)), "")
    return cache.entry("btf", f"file-{sha256}{suffix}")


@functools.cache
def _downloader() -> Downloader:
    return Downloader()


def forget() -> None:
    """Ask again for what could not be had."""
    with _lock:
        _failed.clear()
    _downloader.cache_clear()
