"""The user's cache: where downloads, kernels, images and snapshots are kept, locked, written whole and pruned.

Every folder of the cache holds *entries* (a file or a folder each). Who makes an entry holds its `lock`; who works with
one is inside `using`, as many at once as they like; `prune` throws away the least recently used entries that nobody
makes or uses. Nothing else deletes from the cache.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import filelock
import platformdirs

from everykernel.errors import CacheError, UsageError

ROOT_SETTING = "EVERYKERNEL_CACHE"
LIMIT_SETTING = "EVERYKERNEL_CACHE_LIMIT"
DEFAULT_LIMIT_GB = 20.0
PRUNED_FOLDERS = ("kernels", "packages", "snapshots", "images", "btf")  # indexes are small, and needed offline
_STAMP = ".last-used"
_ANCIENT_PART = 86400.0  # seconds after which an abandoned temporary file is litter


def root() -> Path:
    """Return the cache's root: ``EVERYKERNEL_CACHE``, else the user's cache folder; made if it is not there.

    Raises:
        CacheError: it cannot be made or written.
    """
    setting = os.environ.get(ROOT_SETTING)
    path = Path(setting).expanduser().absolute() if setting else Path(platformdirs.user_cache_dir("everykernel"))
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def folder(name: str) -> Path:
    """Return the cache's folder ``name`` (``kernels``, ``packages``, ``snapshots`` …), made if it is not there."""
    path = root() / name
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def lock(name: str, *, timeout: float = -1) -> filelock.FileLock:
    """Return a lock that is shared by every process of the machine; use it as a context manager.

    ``name`` is what is locked: ``folder/entry`` keeps `prune` away from that entry, any other name is free to choose.
    ``timeout`` is in seconds, -1 waits for ever; `filelock.Timeout` is raised by acquiring it.
    """
    flat = name.strip("/").replace("/", "%")
    return filelock.FileLock(folder("locks") / f"{flat}.lock", timeout=timeout)


@contextlib.contextmanager
def using(entry: Path) -> Iterator[Path]:
    """Keep `prune` away from ``entry`` (a file or folder right inside one of the cache's folders) while the block runs.

    Shared: any number of processes may use an entry at once. Waits for one that is being made (its `lock` is held).
    """
    held = Path(lock(f"{entry.parent.name}/{entry.name}").lock_file)
    with explained(held):
        descriptor = os.open(held, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # filelock locks with flock(2) too, exclusively
        touch(entry)
        yield entry
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a CacheError that says where and what to do."""
    try:
        yield
    except OSError as e:
        where = str(e.filename or path)
        if e.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = f"free some space, lower {LIMIT_SETTING} (GB), or set {ROOT_SETTING} to a folder on another disk"
            raise CacheError("no space left for the cache", where=where, remedy=remedy) from e
        if e.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            remedy = f"make it writable for you, or set {ROOT_SETTING} to a folder that is"
            raise CacheError("the cache cannot be written", where=where, remedy=remedy) from e
        remedy = f"look at it, or set {ROOT_SETTING} to another folder"
        raise CacheError(f"the cache cannot be used: {e.strerror or e}", where=where, remedy=remedy) from e


@contextlib.contextmanager
def write_atomically(path: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Yield a binary file that becomes ``path`` when the block ends, and vanishes when the block fails.

    Readers see the old file or the whole new one, never a part. Raises CacheError for a full disk and the like.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.tmp")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with write_atomically(path) as file:
        file.write(data)


@contextlib.contextmanager
def make_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` that becomes ``path`` when the block ends (replacing what was there)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.tmp")
    with explained(path):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def touch(entry: Path) -> None:
    """Note that ``entry`` (a file or folder of the cache) was used now; a cache that cannot be written is no error."""
    with contextlib.suppress(OSError):
        stamp = entry / _STAMP if entry.is_dir() else entry
        stamp.touch()
        os.utime(stamp)


def last_used(entry: Path) -> float:
    """Return when ``entry`` was last used, in seconds since the epoch; 0.0 where it has vanished."""
    stamp = entry / _STAMP
    for candidate in (stamp, entry):
        with contextlib.suppress(OSError):
            return candidate.stat().st_mtime
    return 0.0


def size(entry: Path) -> int:
    """Return the bytes that ``entry`` takes on the disk (sparse files count what they hold)."""
    paths: Iterable[Path] = [entry]
    if entry.is_dir() and not entry.is_symlink():
        paths = (Path(top) / name for top, _, names in os.walk(entry) for name in names)
    total = 0
    for path in paths:
        with contextlib.suppress(OSError):
            total += path.lstat().st_blocks * 512
    return total


def limit() -> int:
    """Return the size limit in bytes: ``EVERYKERNEL_CACHE_LIMIT`` in GB, else 20 GB.

    Raises:
        UsageError: the setting is not a number above 0.
    """
    setting = os.environ.get(LIMIT_SETTING, "").strip()
    try:
        gigabytes = float(setting) if setting else DEFAULT_LIMIT_GB
    except ValueError:
        gigabytes = 0.0
    if gigabytes <= 0:
        raise UsageError(
            f"{setting!r} is not a size in GB", where=LIMIT_SETTING, remedy=f"a number, {DEFAULT_LIMIT_GB:g} if unset"
        )
    return int(gigabytes * 1e9)


@dataclass(frozen=True)
class Entry:
    """One entry of the cache as `prune` sees it: ``name`` is its lock's, ``bytes`` what it takes on the disk."""

    name: str
    path: Path
    bytes: int
    used: float


def entries(folders: Iterable[str] = PRUNED_FOLDERS) -> list[Entry]:
    """Return the entries of these folders, the least recently used first."""
    top = root()
    found = []
    for name in folders:
        if not (top / name).is_dir():
            continue
        for path in (top / name).iterdir():
            if not path.name.startswith("."):
                found.append(Entry(f"{name}/{path.name}", path, size(path), last_used(path)))
    return sorted(found, key=lambda e: e.used)


def remove(entry: Entry) -> bool:
    """Delete one entry unless somebody holds its lock; return whether it is gone."""
    try:
        with lock(entry.name, timeout=0):
            doomed = entry.path.with_name(f".{entry.path.name}.{time.monotonic_ns()}.gone")
            entry.path.replace(doomed)  # at once invisible to others, however long deleting takes
            if doomed.is_dir() and not doomed.is_symlink():
                shutil.rmtree(doomed, ignore_errors=True)
            else:
                doomed.unlink(missing_ok=True)
            return True
    except filelock.Timeout:
        return False
    except FileNotFoundError:
        return True


def prune(maximum: int | None = None, *, keep: Iterable[Path] = ()) -> list[Entry]:
    """Delete the least recently used entries until the cache fits into ``maximum`` bytes (None: `limit`).

    What is locked or in ``keep`` stays. Also sweeps up temporary files that a killed process left a day ago. Returns
    what was deleted.
    """
    maximum = limit() if maximum is None else maximum
    kept = {path.absolute() for path in keep}
    with explained(root()):
        _sweep()
        found = entries()
        total = sum(entry.bytes for entry in found)
        gone = []
        for entry in found:
            if total <= maximum:
                break
            if entry.path.absolute() not in kept and remove(entry):
                total -= entry.bytes
                gone.append(entry)
        return gone


def _sweep() -> None:
    """Delete temporary files and folders that nobody has touched for a day."""
    old = time.time() - _ANCIENT_PART
    for name in PRUNED_FOLDERS:
        for path in (root() / name).glob(".*"):
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime > old or path.name == _STAMP:
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
