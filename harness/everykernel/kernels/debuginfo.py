"""A kernel's BTF from its distribution's debug package: pahole encodes it from the vmlinux inside.

``linux-image-RELEASE-dbg_….deb`` of Debian has some 800 MB, ``…-dbgsym_….ddeb`` of Ubuntu a GB, the vmlinux in them 300
to 900 MB: it is streamed to the disk, and deleted once it is encoded. The result (some MB) stays in the cache, under
the package's SHA-256 and pahole's version: ``btf/dwarf-SHA256-VERSION/RELEASE.btf``.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from everykernel import cache, names
from everykernel.errors import DownloadError, HarnessError, ToolMissing, UsageError
from everykernel.kernels import deb, download, pahole, unlisted
from everykernel.kernels.progress import SILENT, Progress

SUFFIXES = (".deb", ".ddeb")
_VMLINUX = re.compile(r"usr/lib/debug/(?:boot/vmlinux-([^/]+)|lib/modules/([^/]+)/vmlinux)")
_LARGEST = 4 << 30  # bytes of a vmlinux: with debug information it has up to a GB
_RAW = ".btf"


@dataclass(frozen=True)
class Encoded:
    """BTF of one kernel.

    Attributes:
        path: of the raw BTF in the cache; kept there until this process ends.
        release: the kernel's, as the package names its vmlinux.
        sha256: of the package (hex).
        by: what made it, with its version (``pahole-v1.24``).
    """

    path: Path
    release: str
    sha256: str
    by: str


def is_package(name: str) -> bool:
    """Tell whether a path or URL names a debug package."""
    return name.partition("?")[0].endswith(SUFFIXES)


def of_file(package: Path, progress: Progress = SILENT) -> Encoded:
    """Return the BTF of a package's kernel; raises as `of` does, and UsageError for a file that cannot be read."""
    try:
        found = package.stat()
        sha256 = _digest(package, found.st_mtime_ns, found.st_size)
    except OSError as e:
        raise UsageError(f"cannot be read: {e.strerror}", where=str(package)) from e
    return of(sha256, lambda: package, progress, package.name)


def of_url(url: str, progress: Progress = SILENT) -> Encoded:
    """Return the BTF of the kernel in a URL's package, which is downloaded once, and not kept; raises as `of` does."""
    name = url.partition("?")[0].rpartition("/")[2]
    path = cache.entry("packages", f"url-{hashlib.sha256(url.encode()).hexdigest()[:24]}")

    def fetch() -> Path:
        return path if path.exists() else unlisted.download(url, path, limit=download.UNLISTED, progress=progress)

    with unlisted.alone(url), cache.held(path):
        known = unlisted.recall(url)
        if known and (found := _kept(known)) is not None:
            return found
        pahole.find()  # before all of a package comes for nothing
        try:
            sha256 = unlisted.digest(fetch())
            unlisted.remember(url, sha256)
            return of(sha256, fetch, progress, name)
        finally:
            path.unlink(missing_ok=True)


def of(sha256: str, fetch: Callable[[], Path], progress: Progress, name: str) -> Encoded:
    """Return the BTF of the kernel in the package of that SHA-256 (hex), from the cache or by pahole.

    Args:
        sha256: the package's.
        fetch: brings it here, where it is needed.
        progress: where slow work is shown.
        name: the package's, for people.

    Raises:
        ToolMissing: it is not in the cache, and there is no pahole, or one that is too old.
        DownloadError: the package is not sound, holds no vmlinux, or cannot be had.
        HarnessError: pahole cannot make BTF of it.
        CacheError: the cache cannot be written.
    """
    if (found := _kept(sha256)) is not None:
        return found
    tool = pahole.find()
    entry = cache.entry("btf", f"dwarf-{sha256}-{tool.version}")
    cache.hold(entry)
    with cache.lock(f"btf/{entry.name}"):
        if _read(entry, sha256) is None:
            with cache.make_folder(entry) as folder:
                _encode(fetch(), sha256, name, tool, folder, progress)
        encoded = _read(entry, sha256)
    if encoded is None:
        raise HarnessError("the cache lost it as soon as it was made", where=str(entry))
    cache.touch(entry)
    return encoded


def _encode(package: Path, sha256: str, name: str, tool: pahole.Pahole, folder: Path, progress: Progress) -> None:
    """Write a package's BTF into a folder, under the release that it is for."""
    if unlisted.digest(package) != sha256:
        raise DownloadError("is not the file that it was", where=name, remedy="run the same again")
    vmlinux = folder / "vmlinux"
    try:
        release = _unpack(package, vmlinux, name, progress)
        with progress.task(f"pahole on vmlinux of {release}", None):
            tool.encode(vmlinux, folder / f"{release}{_RAW}")
    except DownloadError as e:
        e.where, e.remedy = name, e.remedy if e.where == name else "have it again: it is damaged"
        raise
    except HarnessError as e:
        e.where = f"{name}: {e.where}"
        raise
    vmlinux.unlink()


def _unpack(package: Path, target: Path, name: str, progress: Progress) -> str:
    """Write the package's vmlinux to ``target``, and return the release that it is named after."""
    for member, content in deb.unpack(package):
        match = _VMLINUX.fullmatch(member.name)
        if match is None or content is None:
            continue
        release = names.checked(match[1] or match[2], "a kernel's release", where=name, error=DownloadError)
        if member.size > _LARGEST:
            raise DownloadError(f"its vmlinux has more than {_LARGEST >> 30} GiB", where=name)
        with progress.task(f"unpacking vmlinux of {release}", member.size) as task, target.open("wb") as file:
            _copy(content, file, task.advance)
        return release
    raise DownloadError(
        "holds no vmlinux below usr/lib/debug",
        where=name,
        remedy="give the kernel's debug package: linux-image-RELEASE-dbg of Debian, …-dbgsym of Ubuntu",
    )


def _copy(content: IO[bytes], file: IO[bytes], advance: Callable[[int], None]) -> None:
    while data := content.read(1 << 20):
        file.write(data)
        advance(len(data))


def _read(entry: Path, sha256: str) -> Encoded | None:
    """Return what an entry of the cache has, None if nothing."""
    found = next(entry.glob(f"[!.]*{_RAW}"), None)
    by = f"pahole-{entry.name.rpartition('-')[2]}"
    return Encoded(found, found.name.removesuffix(_RAW), sha256, by) if found is not None else None


def _kept(sha256: str) -> Encoded | None:
    """Return what the cache has of a package by the host's pahole, or by any where the host has none."""
    try:
        version = pahole.find().version
    except ToolMissing:
        version = "*"
    for entry in sorted(cache.folder("btf").glob(f"dwarf-{sha256}-{version}")):
        cache.hold(entry)
        if (found := _read(entry, sha256)) is not None:
            cache.touch(entry)
            return found
    return None


@functools.lru_cache(maxsize=16)
def _digest(path: Path, modified: int, size: int) -> str:
    """Return a file's SHA-256: kept, since each cell of a kernel asks for the same."""
    return unlisted.digest(path)
