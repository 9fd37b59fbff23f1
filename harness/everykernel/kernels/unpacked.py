"""A kernel's packages, downloaded and unpacked into its folder of the cache: what is in them, and the record of it.

The image has to be what its source says: of that release, series and architecture.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from everykernel import cache, names
from everykernel.errors import CacheError, DownloadError, UsageError
from everykernel.kernels import image
from everykernel.kernels.formats.whiteouts import Whiteouts
from everykernel.kernels.packages import Candidate, Layout, series_in
from everykernel.kernels.progress import Progress
from everykernel.kernels.sources.protocol import Source

FORMAT = 1  # of kernel.json: a record of another format is as good as none
_LARGEST = 4 << 30  # bytes that a kernel's package unpacks to: one with all its modules has half a GB


def install(candidate: Candidate, source: Source, folder: Path, progress: Progress) -> None:
    """Download and unpack a kernel into ``folder``, whose lock the caller holds, with its record (kernel.json).

    Raises:
        DownloadError: a package cannot be had, is not sound, or holds another kernel than the candidate.
        CacheError: the cache cannot be written.
    """
    packages = _fetched(candidate, source, progress)
    told = (
        replace(one, sha256=one.sha256 or _digest(path), key=source.signer(one))
        for one, path in zip(candidate.packages, packages, strict=True)
    )
    candidate = replace(candidate, packages=tuple(told))
    try:
        with cache.make_folder(folder) as target:
            files = _unpack_all(candidate, source, packages, target, progress)
            seen = _seen(candidate, target)
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


def _fetched(candidate: Candidate, source: Source, progress: Progress) -> list[Path]:
    """Return the files of a kernel's packages; a full disk has those back that came before there was no room."""
    packages: list[Path] = []
    try:
        for package in candidate.packages:
            packages.append(source.fetch(package, progress))
    except CacheError:
        for path in packages:
            path.unlink(missing_ok=True)
        raise
    return packages


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack_all(
    candidate: Candidate, source: Source, packages: list[Path], target: Path, progress: Progress
) -> dict[str, int]:
    """Unpack a kernel's packages; return the size of each of its files by name."""
    files: dict[str, int] = {}
    members: dict[str, str] = {}  # by a file's name, what it was called in its package
    elf = False
    with progress.task(f"unpacking {candidate.release or candidate.packages[0].name}", None) as task:
        for path in packages:
            hidden, own = Whiteouts(), set()
            for member, name, size in _unpack(path, source, candidate.release, target, hidden):
                elf = elf or source.layout.elf(member)
                if name:
                    files[name], members[name] = size, member
                    own.add(name)
                    task.advance(size)
            for name in [name for name in files if name not in own and hidden.hides(members[name])]:
                (target / name).unlink()
                del files[name]
    if "vmlinuz" not in files:
        named = f" for {candidate.release}" if candidate.release else ""
        only = ", only an ELF file, which does not boot as it is" if elf else ""
        raise DownloadError(f"holds no kernel image{named}{only}", where=candidate.packages[0].name)
    return files


def _seen(candidate: Candidate, target: Path) -> image.Image:
    """Return what a kernel's image says that it is; raise DownloadError if that is not what its source says."""
    where = candidate.packages[0].name
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
        "format": FORMAT,
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


def _unpack(
    path: Path, source: Source, release: str, target: Path, hidden: Whiteouts
) -> Iterator[tuple[str, str, int]]:
    """Unpack what belongs to a kernel; yield each member, the name of its file ("" if it has none) and its size."""
    layout = source.layout
    for member, content in source.unpack(path, largest=_LARGEST):
        if layout.layered and hidden.take(member.name):
            continue
        name = layout.place(member.name, release)
        linked = target / layout.place(member.linkname, release) if member.islnk() else target
        if not name or (content is None and not linked.is_file()):
            yield member.name, "", 0
            continue
        for part in name.split("/"):
            names.checked(part, "a file of a kernel", where=str(path), error=DownloadError)
        placed = target / name
        try:
            placed.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                _link(placed, linked)
            else:
                placed.unlink(missing_ok=True)  # it may be a link: what it links to stays
                with placed.open("wb") as file:
                    shutil.copyfileobj(content, file, 1 << 20)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as e:
            raise DownloadError(f"not a sound package: {name} is a file and a folder", where=str(path)) from e
        yield member.name, name, placed.stat().st_size


def _link(placed: Path, linked: Path) -> None:
    """Make another name for a file (a hard link, as the package has it), which may be its own already."""
    if placed != linked:
        placed.unlink(missing_ok=True)
        placed.hardlink_to(linked)


def _btf(vmlinuz: Path) -> tuple[bytes | None, list[str]]:
    """Return the BTF inside an image, and notes on why there is none to be read."""
    try:
        return image.btf(vmlinuz.read_bytes()), []
    except UsageError as e:
        return None, [f"its BTF cannot be read without booting it: {e.message}"]
