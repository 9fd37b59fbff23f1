"""Both twins of a series, built from Debian's source in one tree: what the second shares with the first is there.

A tree that was left, by an interrupt or an error, is gone on with. It is deleted once both twins are kept.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from everykernel import cache
from everykernel.errors import HarnessError, UnknownKernel
from everykernel.kernels import image, pahole
from everykernel.kernels.debian import Archive, Entry
from everykernel.kernels.progress import SILENT, Progress
from everykernel.kernels.twins import kept, parts, tree
from everykernel.kernels.twins.kept import Twin

_DISK = 8  # GB that the tree takes while it is built, debug information and all
_IMAGE = "arch/x86/boot/bzImage"


@dataclass(frozen=True)
class Plan:
    """What is to be built.

    Attributes:
        row: the series.
        source: Debian's package, as the index has it.
        tools: what it is built with.
        keys: of each part, what decides it.
    """

    row: parts.Row
    source: Entry
    tools: str
    keys: dict[str, str]

    def missing(self) -> list[str]:
        """Return the parts that are not here yet."""
        return [part for part in self.keys if kept.at(self.place(part)) is None]

    def place(self, part: str) -> Path:
        """Return where a part is kept."""
        return kept.place(self.row.series, part, self.keys[part])

    def cost(self, jobs: int) -> str:
        """Return what building takes, for people."""
        wall = -(-self.row.minutes // jobs)
        kernels = f"{self.row.series}: two kernels of {self.source.name} {self.source.version}"
        return f"{kernels}: about {wall} minutes on {jobs} processors, and {_DISK} GB of disk meanwhile"


def plan(series: str, archive: Archive | None = None, progress: Progress = SILENT) -> Plan:
    """Return what building the twins of a series means here and now; nothing is built.

    Raises:
        UnknownKernel: there are no twins of that series.
        ToolMissing: something that a kernel is built with is not installed.
        DownloadError: no index has the source.
    """
    row = parts.rows().get(series)
    if row is None:
        remedy = f"there are those of {', '.join(parts.rows())}"
        raise UnknownKernel("no twins are built of this series", spec=series, where=series, remedy=remedy)
    tools = tree.tools()
    source = (archive or Archive()).newest(row.suites, row.package, "amd64", progress)
    keys = {part: kept.key(series, part, source.sha256, tools) for part in (parts.WITHOUT, parts.WITH)}
    return Plan(row, source, tools, keys)


def build(
    planned: Plan,
    archive: Archive | None = None,
    progress: Progress = SILENT,
    *,
    jobs: int = 0,
) -> list[Twin]:
    """Build what is missing of a plan, and return both twins.

    Args:
        planned: what to build.
        archive: where the source is fetched from.
        progress: where the work is shown.
        jobs: how many processors to use, 0 for all.

    Raises:
        DownloadError: the source cannot be had.
        HarnessError: it cannot be built; the error names the log.
        CacheError: the cache cannot be written.
    """
    top = cache.entry(kept.FOLDER, f"{planned.source.name}_{planned.source.version.replace(':', '+')}")
    for path in (top, *map(planned.place, planned.keys)):
        cache.hold(path)
    with cache.lock(f"{kept.FOLDER}/{top.name}"):
        missing = planned.missing()
        if missing and not top.is_dir():
            package = (archive or Archive()).fetch(planned.source, progress)
            with progress.task(f"unpacking {planned.source.name}", None), cache.make_folder(top) as folder:
                tree.unpack(package, folder)
            package.unlink(missing_ok=True)
        for part in missing:
            with cache.make_folder(planned.place(part)) as folder:
                _one(planned, part, top, folder, jobs or os.cpu_count() or 1, progress)
        shutil.rmtree(top, ignore_errors=True)
    return [twin for twin in map(kept.at, map(planned.place, planned.keys)) if twin is not None]


def _one(planned: Plan, part: str, top: Path, folder: Path, jobs: int, progress: Progress) -> None:
    """Build one twin in a tree, and put what is kept of it into a folder."""
    before = _spent()
    with progress.task(f"building {planned.row.series}-{part}", None):
        tree.configure(top, planned.row.series, part)
        tree.make(top, f"-j{jobs}", "bzImage")
    shutil.copy(top / _IMAGE, folder / "vmlinuz")
    shutil.copy(top / ".config", folder / "config")
    data = (folder / "vmlinuz").read_bytes()
    release = image.inspect(data, f"{planned.row.series}-{part}").release
    modules = folder / "lib" / "modules" / release
    modules.mkdir(parents=True)
    shutil.copy(top / "modules.builtin", modules)
    if part == parts.WITH:
        types = image.btf(data)
        if types is None:
            raise HarnessError("its image has no BTF", where=planned.row.series, remedy=f"look at {top / tree.LOG}")
        (folder / "vmlinux.btf").write_bytes(types)
    else:
        with progress.task("pahole on its debug information", None):
            pahole.find().encode(top / "vmlinux", folder / f"{release}.btf")
    Twin(
        series=planned.row.series,
        part=part,
        version=planned.source.version,
        release=release,
        package=planned.source.name,
        sha256=planned.source.sha256,
        signed=planned.source.signed,
        fragments=kept.fragments(planned.row.series, part),
        tools=planned.tools,
        image=hashlib.sha256(data).hexdigest(),
        seconds=round(_spent() - before),
        folder=folder,
    ).write()


def _spent() -> float:
    """Return the seconds of a processor that children of this process took so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
