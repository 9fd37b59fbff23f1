"""A kernel's headers, for what compiles in the guest against the kernel that runs there, as BCC does.

They are those of Debian's linux-headers-RELEASE and of the common package that it depends on, where a Debian system has
them: below usr/src, found through lib/modules/RELEASE/build and source. Makefiles and configuration are left out: no
modules are built with them.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from pathlib import Path

from everykernel import cache, names
from everykernel.errors import DownloadError, UsageError
from everykernel.kernels.debian import Archive, unpack
from everykernel.kernels.model import Kernel
from everykernel.kernels.progress import SILENT, Progress

SIZE = 96 << 20
"""Bytes that they take in a guest, at most: 40 to 44 MB of 5.10 to 6.12, in whole pages for each of 8,000 files."""

_ROOT = "root"
_KEPT = re.compile(
    r"(?:usr/(?=lib/))?(lib/modules/[^/]+/(?:build|source)|usr/src/[^/]+/(?:include|arch/([^/]+)/include)/.+\.h)"
)
_COMMON = re.compile(r"\blinux-headers-[^\s,|(]+-common\b")
# The package that has a kernel's headers elsewhere, and what of it belongs where in the guest; in Ubuntu's, links lead
# from one folder of usr/src to the other.
_UBUNTU = (
    "linux-headers-{release} and the one it depends on",
    "--push ROOT/usr/src:/usr/src --push ROOT/lib/modules/{release}:/lib/modules/{release}",
)
_DEVEL = "--push ROOT/usr/src/kernels/{release}:/lib/modules/{release}/build"
_RPM = ("kernel-devel of {release}", _DEVEL)
_SUSE = (
    "kernel-default-devel of {release} and kernel-devel that it depends on",
    "--push ROOT/usr/src:/usr/src --push ROOT/lib/modules/{release}:/lib/modules/{release}",
)
_FOREIGN = {
    "ubuntu": _UBUNTU,
    "mainline": _UBUNTU,
    "oracle": ("kernel-uek-devel of {release}", _DEVEL),
    "leap": _SUSE,
    "tumbleweed": _SUSE,
    "arch": (
        "linux-headers of {release}",
        "--push ROOT/usr/lib/modules/{release}/build:/lib/modules/{release}/build",
    ),
}
_LARGEST = 1 << 30  # bytes that a package of headers unpacks to: the common one of 6.12 has 90 MB


def fetch(kernel: Kernel, progress: Progress = SILENT, *, archive: Archive | None = None) -> Path:
    """Return a folder that holds a kernel's headers as they lie below the root of a Debian system.

    Raises:
        UsageError: the kernel is not Debian's.
        DownloadError: its headers cannot be had.
        CacheError: the cache cannot be written.
    """
    if not kernel.source.startswith("debian:"):
        raise _foreign(kernel)
    entry = cache.entry("headers", f"{kernel.arch.name}-{kernel.release}")
    cache.hold(entry)
    with cache.lock(f"headers/{entry.name}"):
        if not entry.is_dir():
            _make(entry, kernel, archive or Archive(), progress)
    cache.touch(entry)
    return entry / _ROOT


def _foreign(kernel: Kernel) -> UsageError:
    """Return what to say of a kernel that is not Debian's: where its headers are, and how they come into the guest."""
    source = kernel.source.partition(":")[0]
    build = f"/lib/modules/{kernel.release}/build"
    if source in ("path", "file", "oci"):
        text, remedy = "no package of headers is known for a kernel that no distribution made", f"--push FOLDER:{build}"
        return UsageError(text, where=kernel.spec, remedy=remedy)
    package, pushed = _FOREIGN.get(source, _RPM)
    package, pushed = (part.format(release=kernel.release) for part in (package, pushed))
    return UsageError(
        f"headers are had for Debian's kernels only, not for those of {source}: they are in its package {package}",
        where=kernel.spec,
        remedy=f"unpack it into a folder ROOT, then {pushed} instead of --headers",
    )


def _make(entry: Path, kernel: Kernel, archive: Archive, progress: Progress) -> None:
    own = archive.newest(_suites(kernel, archive), f"linux-headers-{kernel.release}", kernel.arch.debian, progress)
    common = _COMMON.search(own.depends)
    if common is None:
        raise DownloadError("depends on no common headers", where=f"{own.name} {own.version}")
    shared = archive.newest((own.suite,), common[0], kernel.arch.debian, progress)
    with cache.make_folder(entry) as folder:
        made = _Folder(folder / _ROOT)
        try:
            for package in (own, shared):
                deb = archive.fetch(package, progress)
                made.unpack(deb)
                deb.unlink(missing_ok=True)  # all that we want of it is unpacked
            made.link()
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as e:
            name = Path(e.filename).name
            raise DownloadError(f"not sound packages: {name} is a file and a folder", where=own.name) from e


def _suites(kernel: Kernel, archive: Archive) -> list[str]:
    """Return where headers may be: where the kernel came from, and where its series is."""
    series = archive.catalogue.series.get(kernel.series)
    more = (*series.suites, *series.more) if series is not None else ()
    return list(dict.fromkeys((kernel.source.removeprefix("debian:"), *more)))


class _Folder:
    """A folder that packages are unpacked into, the kernel's own first: it says for which of Linux's arch/ they are."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._archs: set[str] = set()
        self._links: dict[Path, str] = {}

    def unpack(self, deb: Path) -> None:
        """Write the headers of a package, and keep its links."""
        archs = set()
        for member, content in unpack(deb, largest=_LARGEST):
            found = _KEPT.fullmatch(member.name)
            if found is None or (self._archs and found[2] and found[2] not in self._archs):
                continue
            for part in found[1].split("/")[:-1]:
                names.checked(part, "a folder of headers", where=str(deb), error=DownloadError)
            path = self._root / found[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.issym():
                self._links[path] = posixpath.normpath(posixpath.join("/", member.name, "..", member.linkname))
            elif content is not None:
                with path.open("wb") as file:
                    shutil.copyfileobj(content, file)
            archs |= {found[2]} if found[2] else set()
        self._archs = self._archs or archs

    def link(self) -> None:
        """Make the links, once nothing can be written through them any more."""
        for path, target in self._links.items():
            path.symlink_to(target)
