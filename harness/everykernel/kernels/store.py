"""Kernels in the cache: ``kernels/<arch>-<release>_<version>/`` with their files and a record of what they must be.

    kernel.json                 the record (format, names, where from, size of each file, SHA-256 of image and config)
    vmlinuz  config             as the package has them
    lib/modules/<release>/      as the package has it
    vmlinux.btf                 the BTF inside the image, if it has any

A kernel whose files are not what its record says is no kernel: it is deleted and had anew.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import itertools
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from everykernel import cache
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import DownloadError
from everykernel.kernels import unpacked
from everykernel.kernels.model import Kernel
from everykernel.kernels.packages import Candidate, Package
from everykernel.kernels.progress import Progress
from everykernel.kernels.sources.protocol import Source

_in_use: dict[Path, contextlib.ExitStack] = {}
_in_use_lock = threading.Lock()
_threads: dict[Path, threading.Lock] = {}
_PATIENCE = 0.5  # seconds between looks at a kernel that another process makes or uses


@dataclass(frozen=True)
class Stored:
    """One kernel of the cache: its folder and its record."""

    folder: Path
    record: dict[str, Any]

    def kernel(self, spec: str) -> Kernel:
        """Return it under the name that the user gave it."""
        record = self.record
        modules = self.folder / "lib" / "modules" / record["release"]
        config = self.folder / "config"
        return Kernel(
            spec=spec,
            arch=ARCHITECTURES[record["arch"]],
            release=record["release"],
            image=self.folder / "vmlinuz",
            modules=modules if record["modules"] else None,
            config=config if "config" in record["files"] else None,
            sha256=record["sha256"],
            source=record["source"],
            signed=record["signed"],
            notes=tuple(record["notes"]),
            version=record["version"],
            series=record["series"],
            flavour=record["flavour"],
            digest=record["digests"]["vmlinuz"],
        )


def folder_of(candidate: Candidate) -> Path:
    """Return the folder that a kernel has in the cache, whether it is there or not."""
    own = "" if candidate.source == "debian" else f"{candidate.source}-"  # two distributions may share a release
    release = candidate.release or candidate.packages[0].name
    return cache.entry("kernels", f"{candidate.arch.name}-{own}{release}_{candidate.version.replace(':', '+')}")


def candidate(one: Stored) -> Candidate:
    """Return a kernel of the cache as the candidate that it came from, though the index may have moved on."""
    record = one.record
    packages = tuple(Package(**row) for row in record["packages"])
    source = record["source"].partition(":")[0]
    return Candidate(
        ARCHITECTURES[record["arch"]], record["release"], record["series"], record["flavour"], packages, source
    )


def at(kernel: Kernel) -> Stored | None:
    """Return a fetched kernel's record, None for one that is not in the cache."""
    return _load(kernel.image.parent)


def stored() -> list[Stored]:
    """Return the kernels of the cache, by their records; their files are not looked at."""
    found = (_load(path) for path in sorted(cache.folder("kernels").iterdir()) if not path.name.startswith("."))
    return [one for one in found if one is not None]


def fetch(candidate: Candidate, source: Source, spec: str, progress: Progress) -> Kernel:
    """Return a kernel with its files in the cache, downloading and unpacking it if it is not there whole.

    Until this process ends, `everykernel.cache.prune` leaves the kernel alone.

    Raises:
        DownloadError: it is not there whole and cannot be had.
        CacheError: the cache cannot be written.
    """
    folder = folder_of(candidate)
    with _one_thread(folder):
        kernel, damage = _whole(folder, spec)
        if damage:
            progress.note(f"{folder.name}: {damage}: fetching it again")
        made = False
        while kernel is None:
            # Another process that makes it will then use it for as long as it lives: look again and again.
            with contextlib.suppress(filelock.Timeout), cache.lock(f"kernels/{folder.name}", timeout=_PATIENCE):
                found = _load(folder)
                if found is None or _damage(found):
                    _again(candidate, source, folder, damage, progress)
                    made = True
            kernel, _ = _whole(folder, spec)
    if made:
        cache.prune(keep=[folder])
    return kernel


def _whole(folder: Path, spec: str) -> tuple[Kernel | None, str]:
    """Return the kernel in a folder, from now on in use, or None and what is wrong with it ("": it is not there)."""
    if not folder.is_dir():
        return None, ""
    with cache.using(folder):
        found = _load(folder)
        damage = _damage(found) if found is not None else ""
        if found is not None and not damage:
            _hold(folder)
            return found.kernel(spec), ""
    _release(folder)
    return None, damage


def _again(candidate: Candidate, source: Source, folder: Path, damage: str, progress: Progress) -> None:
    """Install a kernel; where it takes the place of a damaged one, an error names the damage too."""
    try:
        unpacked.install(candidate, source, folder, progress)
    except DownloadError as e:
        if not damage:
            raise
        text = f"{damage}, and it cannot be had again: {e.where}: {e.message}"
        raise DownloadError(text, where=str(folder), remedy=e.remedy) from e


def _load(folder: Path) -> Stored | None:
    """Return the kernel in a folder, None if it has no record that we can read."""
    try:
        record = json.loads((folder / "kernel.json").read_bytes())
    except (OSError, ValueError):
        return None
    if (
        not isinstance(record, dict)
        or record.get("format") != unpacked.FORMAT
        or record.get("arch") not in ARCHITECTURES
    ):
        return None
    return Stored(folder, record)


def _damage(found: Stored) -> str:
    """Return what is wrong with a kernel's files, "" if nothing is: sizes of all, SHA-256 of what boots."""
    top = os.fspath(found.folder)
    for name, size in found.record["files"].items():  # thousands: no Path objects here
        try:
            actual = os.stat(f"{top}/{name}").st_size  # noqa: PTH116
        except OSError:
            return f"{name} is missing"
        if actual != size:
            return f"{name} has {actual} bytes instead of {size}"
    for name, digest in found.record["digests"].items():
        with (found.folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                return f"{name} is corrupted (SHA-256)"
    return ""


def superseded(kernels: list[Stored]) -> list[Stored]:
    """Return those of the kernels that are not the newest of their series, architecture and flavour."""
    newest: dict[tuple[str, ...], Stored] = {}
    by_source = sorted(kernels, key=lambda one: candidate(one).source)
    for _, ours in itertools.groupby(by_source, key=lambda one: candidate(one).source):
        for one in sorted(ours, key=lambda one: candidate(one).order):
            newest[(candidate(one).source, *(one.record[key] for key in ("series", "arch", "flavour")))] = one
    return [one for one in kernels if one not in newest.values()]


def remove(one: Stored) -> bool:
    """Delete a kernel from the cache; return False if another process uses it."""
    _release(one.folder)
    name = f"kernels/{one.folder.name}"
    return cache.remove(cache.Entry(name, one.folder, 0, 0.0))


@contextlib.contextmanager
def _one_thread(folder: Path) -> Iterator[None]:
    """Let one thread of this process at a time work on a kernel: the file locks part processes."""
    with _in_use_lock:
        lock = _threads.setdefault(folder, threading.Lock())
    with lock:
        yield


def _hold(folder: Path) -> None:
    """Keep `cache.prune` away from a kernel until this process ends."""
    with _in_use_lock:
        if folder not in _in_use:
            stack = contextlib.ExitStack()
            stack.enter_context(cache.using(folder))
            _in_use[folder] = stack


def _release(folder: Path) -> None:
    """Undo `_hold`, and what the resolver holds."""
    cache.release(folder)
    with _in_use_lock:
        stack = _in_use.pop(folder, None)
    if stack is not None:
        stack.close()


@atexit.register
def release_all() -> None:
    """Let `everykernel.cache.prune` have all kernels that this process has fetched."""
    for folder in list(_in_use):
        _release(folder)


os.register_at_fork(after_in_child=_in_use.clear)  # the locks are the parent's
