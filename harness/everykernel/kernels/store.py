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
import shutil
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import filelock

from everykernel import cache, names
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import DownloadError, UsageError
from everykernel.kernels import image
from everykernel.kernels.model import Kernel
from everykernel.kernels.packages import Candidate, Layout, Package, series_in
from everykernel.kernels.progress import Progress
from everykernel.kernels.sources.protocol import Source

_FORMAT = 1  # of kernel.json: a record of another format is as good as none
_LARGEST = 4 << 30  # bytes that a kernel's package unpacks to: one with all its modules has half a GB
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


def digests(candidate: Candidate) -> list[str]:
    """Return the SHA-256 of the packages that a kernel of the cache was made from."""
    found = _load(folder_of(candidate))
    return [row["sha256"] for row in found.record["packages"]] if found is not None else []


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
        _install(candidate, source, folder, progress)
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
    if not isinstance(record, dict) or record.get("format") != _FORMAT or record.get("arch") not in ARCHITECTURES:
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


def _install(candidate: Candidate, source: Source, folder: Path, progress: Progress) -> None:
    """Download and unpack a kernel into ``folder``, whose lock the caller holds."""
    packages = [source.fetch(package, progress) for package in candidate.packages]
    told = (
        replace(one, sha256=one.sha256 or _digest(path)) for one, path in zip(candidate.packages, packages, strict=True)
    )
    candidate = replace(candidate, packages=tuple(told))
    try:
        with cache.make_folder(folder) as target:
            files = _unpack_all(candidate, source, packages, target, progress)
            seen = _seen(candidate, target, files)
            found, notes = _btf(target / "vmlinuz")
            if found is not None:
                files["vmlinux.btf"] = (target / "vmlinux.btf").write_bytes(found)
            record = _record(replace(candidate, release=seen.release, series=series_in(seen.release)), files, notes)
            record["notes"] += _lacking(source.layout, record)
            for name in ("vmlinuz", "config"):
                if name in files:
                    record["digests"][name] = hashlib.sha256((target / name).read_bytes()).hexdigest()
            (target / "kernel.json").write_text(json.dumps(record, indent=1))
    finally:
        for path in packages:  # all that we want of it is unpacked, or it is not what it should be
            path.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack_all(
    candidate: Candidate, source: Source, packages: list[Path], target: Path, progress: Progress
) -> dict[str, int]:
    """Unpack a kernel's packages; return the size of each of its files by name."""
    files: dict[str, int] = {}
    with progress.task(f"unpacking {candidate.release or candidate.packages[0].name}", None) as task:
        for path in packages:
            for name, size in _unpack(path, source, candidate.release, target):
                files[name] = size
                task.advance(size)
    return files


def _seen(candidate: Candidate, target: Path, files: dict[str, int]) -> image.Image:
    """Return what a kernel's image says that it is; raise DownloadError if that is not what its source says."""
    where = candidate.packages[0].name
    if "vmlinuz" not in files:
        named = f" for {candidate.release}" if candidate.release else ""
        raise DownloadError(f"holds no kernel image{named}", where=where)
    try:
        seen = image.inspect((target / "vmlinuz").read_bytes(), where)
    except UsageError as e:
        raise DownloadError(f"its kernel image cannot be read: {e.message}", where=where, remedy=e.remedy) from e
    if seen.uname != candidate.arch.uname:
        raise DownloadError(f"holds a kernel for {seen.uname}, not for {candidate.arch.uname}", where=where)
    if seen.release != (candidate.release or seen.release) or series_in(seen.release) != (
        candidate.series or series_in(seen.release)
    ):
        claimed = candidate.release or candidate.series
        raise DownloadError(f"claims to be {claimed}, and its image is {seen.release}", where=where)
    return seen


def _lacking(layout: Layout, record: dict[str, Any]) -> list[str]:
    """Return the notes on what a kernel's packages do not have."""
    told = [] if record["modules"] else [layout.no_modules]
    told += [] if "config" in record["files"] else [layout.no_config]
    return [text.format(release=record["release"]) for text in told]


def _record(candidate: Candidate, files: dict[str, int], notes: list[str]) -> dict[str, Any]:
    first = candidate.packages[0]
    return {
        "format": _FORMAT,
        "arch": candidate.arch.name,
        "release": candidate.release,
        "series": candidate.series,
        "version": candidate.version,
        "flavour": candidate.flavour,
        "package": first.name,
        "sha256": first.sha256,
        "packages": [asdict(package) for package in candidate.packages],
        "source": candidate.origin,
        "signed": first.signed,
        "notes": notes,
        "modules": any(name.startswith("lib/modules/") for name in files),
        "btf": "vmlinux.btf" in files,
        "files": files,
        "digests": {},
    }


def _unpack(path: Path, source: Source, release: str, target: Path) -> Iterator[tuple[str, int]]:
    """Unpack what belongs to a kernel; yield the name below ``target`` and the size of each file."""
    for member, content in source.unpack(path, largest=_LARGEST):
        name = source.layout.place(member.name, release)
        if content is None or not name:
            continue
        for part in name.split("/"):
            names.checked(part, "a file of a kernel", where=str(path), error=DownloadError)
        unpacked = target / name
        try:
            unpacked.parent.mkdir(parents=True, exist_ok=True)
            with unpacked.open("wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as e:
            raise DownloadError(f"not a sound package: {name} is a file and a folder", where=str(path)) from e
        yield name, member.size


def _btf(vmlinuz: Path) -> tuple[bytes | None, list[str]]:
    """Return the BTF inside an image, and notes on why there is none to be read."""
    try:
        return image.btf(vmlinuz.read_bytes()), []
    except UsageError as e:
        return None, [f"its BTF cannot be read without booting it: {e.message}"]


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
