"""The user's cache: where downloads, kernels, images and snapshots are kept, locked, written whole and pruned.

Every folder of the cache holds *entries* (a file or a folder each). Who makes an entry holds its `lock`; who works with
one is inside `using`, as many at once as they like; who is about to look for one, make and use it, holds it (`held`,
`hold`). `prune` throws away the least recently used entries that nobody makes, uses or holds. Nothing else deletes from
the cache. The cache is its user's own: a folder that others own or can write is refused.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import filelock

from everykernel import home, names
from everykernel.errors import CacheError, UsageError
from everykernel.home import ROOT_SETTING as ROOT_SETTING

LIMIT_SETTING = "EVERYKERNEL_CACHE_LIMIT"
DEFAULT_LIMIT_GB = 20.0
PRUNED_FOLDERS = (
    "kernels",
    "packages",
    "snapshots",
    "images",
    "btf",
    "headers",
    "loaders",
    "cells",
    "twins",
    "cluster",
)  # indexes are small, and needed offline
_STAMP = ".last-used"
_ANCIENT_PART = 86400.0  # seconds after which an abandoned temporary file is litter


_kept: dict[Path, int] = {}  # by entry, the descriptor that holds it
_kept_lock = threading.Lock()


def root() -> Path:
    """Return the cache's root (`home.cache`), made if it is not there.

    Raises:
        CacheError: it cannot be made or written, belongs to somebody else, or can be written by others.
    """
    path = home.cache()
    with explained(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.check_ours(path)
    return path


def folder(name: str) -> Path:
    """Return the cache's folder ``name`` (``kernels``, ``packages``, ``snapshots`` …), made if it is not there."""
    path = root() / name
    with explained(path):
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def entry(kind: str, name: str) -> Path:
    """Return the path of the entry ``name`` in the cache's folder ``kind``, whether it is there or not.

    Every path of the cache that holds a name from outside is made here. Raises CacheError for what is no name.
    """
    return folder(kind) / names.checked(name, f"an entry of the cache's {kind}", error=CacheError)


def lock(name: str, *, timeout: float = -1, of_thread: bool = True) -> filelock.FileLock:
    """Return a lock that is shared by every process of the machine; use it as a context manager.

    ``name`` is what is locked: ``folder/entry`` keeps `prune` away from that entry, any other name is free to choose.
    ``timeout`` is in seconds, -1 waits for ever; `filelock.Timeout` is raised by acquiring it. One that another thread
    gives back than takes it is not ``of_thread``.
    """
    return filelock.FileLock(_lock_file(name, "lock"), timeout=timeout, thread_local=of_thread)


def _lock_file(name: str, kind: str) -> Path:
    flat = name.strip("/").replace("/", "%")
    return folder("locks") / f"{flat}.{kind}"


@contextlib.contextmanager
def using(entry: Path) -> Iterator[Path]:
    """Keep `prune` away from ``entry`` (a file or folder right inside one of the cache's folders) while the block runs.

    Shared: any number of processes may use an entry at once. Waits for one that is being made (its `lock` is held).
    """
    path = _lock_file(f"{entry.parent.name}/{entry.name}", "lock")
    with explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # filelock locks with flock(2) too, exclusively
        touch(entry)
        yield entry
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held(entry: Path) -> Iterator[Path]:
    """Keep `prune` away from ``entry``, whether it is there already or yet to be made, while the block runs.

    Shared, and in nobody's way but prune's: unlike `using` it can be held by whoever makes the entry, or waits for it.
    Who looks for an entry holds it first: what is found then stays.
    """
    descriptor = _hold(entry)
    try:
        yield entry
    finally:
        os.close(descriptor)


def hold(entry: Path) -> None:
    """Keep `prune` away from ``entry``, as `held` does, until this process ends."""
    with _kept_lock:
        if entry not in _kept:
            _kept[entry] = _hold(entry)


def release(entry: Path) -> None:
    """Give an entry back to `prune` that this process has been keeping with `hold`."""
    with _kept_lock:
        descriptor = _kept.pop(entry, None)
    if descriptor is not None:
        os.close(descriptor)


def let_go() -> None:
    """Give back to `prune` what this process has been keeping with `hold`."""
    with _kept_lock:
        while _kept:
            os.close(_kept.popitem()[1])


def _hold(entry: Path) -> int:
    path = _lock_file(f"{entry.parent.name}/{entry.name}", "held")
    with explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits only while prune takes the entry away
    return descriptor


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
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def touch(entry: Path) -> None:
    """Note that ``entry`` (a file or folder of the cache) was used now; a cache that cannot be written is no error.

    An entry that is not there (any more) is not made: others would take the empty file for it.
    """
    with contextlib.suppress(OSError):
        if entry.is_dir():
            (entry / _STAMP).touch()
        else:
            os.utime(entry)


def last_used(entry: Path) -> float:
    """Return when ``entry`` was last used, in seconds since the epoch; 0.0 where it has vanished."""
    stamp = entry / _STAMP
    for candidate in (stamp, entry):
        with contextlib.suppress(OSError):
            return candidate.stat().st_mtime
    return 0.0


def size(entry: Path) -> int:
    """Return the bytes that ``entry`` takes on the disk (sparse files count what they hold)."""
    blocks, folders = 0, [os.fspath(entry)]
    if not entry.is_dir() or entry.is_symlink():
        folders = []
        with contextlib.suppress(OSError):
            blocks = entry.lstat().st_blocks
    while folders:  # a kernel has thousands of modules: no Path for each
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as found:
            for one in found:
                if one.is_dir(follow_symlinks=False):
                    folders.append(one.path)
                else:
                    with contextlib.suppress(OSError):
                        blocks += one.stat(follow_symlinks=False).st_blocks
    return blocks * 512


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


@contextlib.contextmanager
def _alone(entry: Entry) -> Iterator[None]:
    """Keep everybody away from an entry while the block runs; raise filelock.Timeout if somebody is there."""
    with lock(entry.name, timeout=0), filelock.FileLock(_lock_file(entry.name, "held"), timeout=0):
        yield


def busy(entry: Entry) -> bool:
    """Return whether somebody makes, uses or holds an entry now."""
    try:
        with _alone(entry):
            return False
    except filelock.Timeout:
        return True


def remove(entry: Entry) -> bool:
    """Delete one entry unless somebody makes, uses or holds it; return whether it is gone."""
    doomed = entry.path.with_name(f".{entry.path.name}.{time.monotonic_ns()}.gone")
    try:
        with _alone(entry):
            entry.path.replace(doomed)  # at once invisible to others, however long deleting takes
    except filelock.Timeout:
        return False
    except FileNotFoundError:
        return True
    if doomed.is_dir() and not doomed.is_symlink():
        shutil.rmtree(doomed, ignore_errors=True)
    else:
        doomed.unlink(missing_ok=True)
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
