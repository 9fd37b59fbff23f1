"""BTF that a user supplies for kernels that have none: which file is meant for which kernel, and what is in it.

A file is raw BTF, an ELF file with a .BTF section, or a ``.btf.tar.xz`` that holds one. A folder holds many, each under
the release that it was made for, in the layout of the public BTF archive (``debian/12/x86_64/RELEASE.btf.tar.xz``, of
https://github.com/aquasecurity/btfhub-archive); ``RELEASE.btf`` serves as well, with or without the folders above it.
Both may be behind a URL: of a tree there, the one file that is meant for a kernel is fetched. A distribution's debug
package (``.deb``, ``.ddeb``), here or behind a URL, is for the kernel whose vmlinux it holds.
"""

from __future__ import annotations

import functools
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from everykernel import names, settings
from everykernel.architectures import Architecture
from everykernel.btf import image
from everykernel.errors import BtfMalformed, GuestLost, UsageError
from everykernel.kernels import bounded, btfhub, debuginfo, unlisted
from everykernel.kernels.download import shown
from everykernel.kernels.formats.tar import Member
from everykernel.kernels.progress import SILENT, Progress

_FORMS = "give raw BTF, an ELF file with .BTF, or a folder with RELEASE.btf or RELEASE.btf.tar.xz"
_FETCHED = 64 << 20  # bytes of a file that is fetched: BTF has some 10 MB, packed 2
_LIMIT = 1 << 30  # bytes of a file: BTF has some 10 MB, a vmlinux with debug information that holds it half a GB


@dataclass(frozen=True)
class Supplied:
    """BTF for one kernel.

    Attributes:
        name: the file as results name it (``supplied:NAME``).
        data: raw BTF.
        notes: how it was come by, one line each, where the name does not tell.
    """

    name: str
    data: bytes
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Supply:
    """A file, folder, tree or package that was supplied.

    Attributes:
        path: where it is, None for one behind a URL.
        name: the path as the user gave it, or the URL as it may be shown.
        spec: the spec of the one kernel that it is for, "" for every kernel.
        url: where it is, "" for a path.
    """

    path: Path | None
    name: str
    spec: str = ""
    url: str = ""

    @classmethod
    def parse(cls, text: str) -> Supply:
        """Return what the option ``--btf [SPEC=]PATH|URL`` means; raise UsageError as `at` does."""
        spec, path = settings.supply(text)
        return cls.at(path, spec=spec)

    @classmethod
    def at(cls, name: str, base: Path | None = None, *, spec: str = "") -> Supply:
        """Return the supply behind a URL, or at a path, which starts from the folder ``base`` (default: the current).

        Raises UsageError where there is nothing, or a file that holds no BTF; URLs are not asked yet, and packages not
        opened.
        """
        if settings.is_url(name):
            return cls(None, shown(name), spec, name)
        path = (base or Path()) / name
        if not name or not path.exists():
            raise UsageError("there is no such file or folder", where=f"BTF {name!r}", remedy=_FORMS)
        if not path.is_dir() and not debuginfo.is_package(name):
            read(path)
        return cls(path, name, spec)

    def is_of(self, spec: str) -> bool:
        """Return whether it is for this kernel alone, whatever its guests are."""
        return bool(self.spec) and self.spec in (spec, settings.machine_of(spec)[0])

    def prepare(self, progress: Progress = SILENT) -> None:
        """Do what takes minutes before anything boots: have the BTF of a debug package made.

        Raises as `debuginfo.of` does.
        """
        if self._is_package:
            self._encoded(progress)

    def find(self, release: str, arch: Architecture, source: str = "") -> Supplied | None:
        """Return the BTF for a kernel, None if this has none for it.

        Args:
            release: what ``uname -r`` prints there.
            arch: its architecture.
            source: where the kernel comes from (``debian:bookworm``): decides between distributions.

        Raises:
            UsageError: a file without BTF, or a folder with several for this kernel that differ.
            DownloadError: what is behind a URL cannot be had.
            HarnessError: as `debuginfo.of` does.
        """
        if self._is_package:
            made = self._encoded(SILENT)
            notes = (f"BTF by {made.by} from {self.name} (SHA-256 {made.sha256}, signed: {self._vouched})",)
            return Supplied(self.name, read(made.path), notes) if made.release == release else None
        if self.path is None:
            return self._fetch(release, arch, source)
        if self.path.is_dir():
            return self._choose(self.path, release, arch, source)
        return Supplied(self.name, read(self.path))

    @property
    def _is_package(self) -> bool:
        return debuginfo.is_package(self.url or self.name) and (self.path is None or not self.path.is_dir())

    @property
    def _vouched(self) -> str:
        return unlisted.vouched(self.url)

    def _encoded(self, progress: Progress) -> debuginfo.Encoded:
        """Return what pahole makes of this package."""
        return debuginfo.of_file(self.path, progress) if self.path else debuginfo.of_url(self.url, progress)

    def _fetch(self, release: str, arch: Architecture, source: str) -> Supplied | None:
        """Return the one file behind the URL that is for a kernel."""
        top, question, query = self.url.partition("?")
        urls = [self.url]
        if not top.endswith(btfhub.SUFFIXES):
            names.checked(release, "a kernel's release", where=self.name, error=GuestLost)
            places = btfhub.places(source, arch, release)
            urls = [f"{top.rstrip('/')}/{place}{question}{query}" for place in places]
        found = unlisted.first(urls, btfhub.SUFFIXES, limit=_FETCHED)
        if found is None:
            return None
        note = f"BTF from {found.url} (SHA-256 {found.sha256}, signed: {found.signed})"
        return Supplied(found.url, read(found.path), (note,))

    def _choose(self, folder: Path, release: str, arch: Architecture, source: str) -> Supplied | None:
        found = candidates(folder, release, arch, btfhub.distribution(source))
        read_ = {path: read(path) for path in found}
        if len(set(read_.values())) > 1:
            names = ", ".join(str(path.relative_to(folder)) for path in found)
            raise UsageError(
                f"has several BTFs for {release} ({arch.name}), and they differ: {names}",
                where=self.name,
                remedy="name the file itself",
            )
        for path, data in read_.items():
            return Supplied(str(Path(self.name) / path.relative_to(folder)), data)
        return None


def candidates(folder: Path, release: str, arch: Architecture, distribution: str = "") -> list[Path]:
    """Return the files of a folder that are for a kernel; of several distributions', only its own, if that is there.

    The folders of the archive are distribution, version and architecture, by our, Debian's or the kernel's own name.
    """
    names.checked(release, "a kernel's release", where=str(folder), error=GuestLost)  # as the guest's facts have it
    files = [release + suffix for suffix in btfhub.SUFFIXES]
    arches = dict.fromkeys((arch.name, arch.debian, arch.uname))
    flat = [folder / name for name in files]
    flat += [folder / part / name for part in arches for name in files]
    deep = [
        path
        for version in sorted(folder.glob("*/*"))
        for part in arches
        for name in files
        if (path := version / part / name).is_file()
    ]
    own = [path for path in deep if path.relative_to(folder).parts[0] == distribution]
    return [path for path in flat if path.is_file()] or own or deep


def in_order(supplies: Sequence[Supply], spec: str) -> list[Supply]:
    """Return the supplies that may serve a kernel, in order of precedence: those for it alone first."""
    return [s for s in supplies if s.is_of(spec)] + [s for s in supplies if not s.spec]


def for_kernel(
    supplies: Sequence[Supply], spec: str, release: str, arch: Architecture, source: str = ""
) -> tuple[Supplied | None, list[str]]:
    """Return the BTF that the first supply has for a kernel, those for its spec alone first; and notes for the record.

    They say how it was come by, or why none has any.

    Raises as `Supply.find` does.
    """
    notes = []
    for supply in in_order(supplies, spec):
        found = supply.find(release, arch, source)
        if found is not None:
            return found, list(found.notes)
        notes.append(f"{supply.name} has no BTF for {release} ({arch.name})")
    return None, notes


def read(path: Path) -> bytes:
    """Return the raw BTF in a file; raise UsageError if it holds none or cannot be read."""
    try:
        stat = path.stat()
        return _read(path, stat.st_mtime_ns, stat.st_size)
    except OSError as e:
        raise UsageError(f"cannot be read: {e.strerror}", where=str(path)) from e
    except BtfMalformed as e:
        raise UsageError(e.message, where=e.where, remedy=_FORMS) from e


@functools.lru_cache(maxsize=16)
def _read(path: Path, modified: int, size: int) -> bytes:
    """Return the raw BTF of a file: kept, since each cell of a kernel asks for the same."""
    with path.open("rb") as file:
        data = file.read(_LIMIT + 1)  # a device has no size, and no end
    if len(data) > _LIMIT:
        raise UsageError(f"has more than {_LIMIT >> 20} MiB, which no BTF has", where=str(path), remedy=_FORMS)
    if path.name.endswith(".tar.xz"):
        data = _unpack(data, path)
    found = image.extract(data, name=str(path))
    if found is None:
        raise UsageError("holds no BTF", where=str(path), remedy=_FORMS)
    return found


def _unpack(data: bytes, path: Path) -> bytes:
    """Return the one file in a compressed archive."""
    try:
        stream = io.BufferedReader(bounded.Stream(io.BytesIO(data).read, "xz", _LIMIT))
        with stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=Member) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is not None:
                    return content.read()
    except (tarfile.TarError, bounded.Damaged, EOFError) as e:
        raise UsageError(f"is not a sound .tar.xz: {e}", where=str(path)) from e
    raise UsageError("is empty", where=str(path))
