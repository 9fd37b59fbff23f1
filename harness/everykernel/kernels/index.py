"""A suite's index of packages: had from mirror or archive server, checked, and kept in the cache for a day.

``indexes/<suite>_<arch>/`` of the cache holds ``Packages.xz`` as it came, ``kernels.json`` (the few hundred stanzas of
kernel packages, since reading all tens of thousands takes seconds) and ``state.json`` (where from, when, how signed).
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from everykernel import cache
from everykernel.errors import DownloadError
from everykernel.kernels import bounded
from everykernel.kernels.control import fields
from everykernel.kernels.download import Downloader, Mismatch, NotThere, Unreachable, matches, shown
from everykernel.kernels.mirror import Mirror
from everykernel.kernels.packages import Package
from everykernel.kernels.progress import SILENT, Progress
from everykernel.kernels.release import Release, Stale
from everykernel.kernels.trust import Trust

LIFETIME = 86400.0  # seconds for which a cached index is served without asking
PATIENCE = 3600.0  # seconds for which a mirror that is out of step is left alone
_FORMAT = 2  # of kernels.json and state.json
_LARGEST = 512 << 20  # bytes of an index: Debian's largest, of sid, has some 60 MB
Entry = Package
_KERNEL_PACKAGE = rb"linux-(?:image|image-unsigned|binary|modules|base)-\d[^\n]*(?<!-dbg)"


@dataclass(frozen=True)
class Index:
    """One suite's index for one architecture, in the cache.

    Attributes:
        suite, arch: Debian's names.
        folder: where it is kept.
        base: URL of the archive that it came from: the mirror's, or the archive server's.
        signed: ``gpgv`` or ``https``.
        checked: when it was last known to be current, in seconds since the epoch.
        sha256: of its Packages.xz.
        date: when the archive wrote it, in seconds since the epoch; 0.0 if that is not known.
        key: fingerprint of the key that signed it, "" if that is not known.
    """

    suite: str
    arch: str
    folder: Path
    base: str
    signed: str
    checked: float
    sha256: str
    date: float = 0.0
    key: str = ""

    def packages(self, name: str) -> list[Entry]:
        """Return the entries of one package, all versions."""
        return list(self._entries(self._text(), re.escape(name).encode()))

    def kernels(self) -> list[Entry]:
        """Return the entries of all kernel packages."""
        path = self.folder / "kernels.json"
        try:
            saved = json.loads(path.read_bytes())
            if saved["format"] == _FORMAT and saved["signed"] == self.signed:
                return [Entry(**row) for row in saved["entries"]]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # not there, or of another version of ours: made anew
        entries = list(self._entries(self._text(), _KERNEL_PACKAGE))
        rows = {"format": _FORMAT, "signed": self.signed, "entries": [asdict(entry) for entry in entries]}
        cache.write(path, json.dumps(rows).encode())
        return entries

    def _text(self) -> bytes:
        path = self.folder / "Packages.xz"
        return _decompress(path, self.sha256)

    def _entries(self, text: bytes, pattern: bytes) -> Iterator[Entry]:
        """Yield an entry for each stanza whose Package field, always its first, matches ``pattern``."""
        for match in re.finditer(rb"^Package: " + pattern + rb"$", text, re.MULTILINE):
            end = text.find(b"\n\n", match.start())
            stanza = fields(text[match.start() : end if end >= 0 else len(text)].decode("utf-8", "replace"))
            try:
                yield Entry(
                    name=stanza["package"],
                    version=stanza["version"],
                    arch=self.arch,
                    suite=self.suite,
                    filename=stanza["filename"],
                    size=int(stanza["size"]),
                    sha256=stanza["sha256"].lower(),
                    depends=stanza.get("depends", ""),
                    signed=self.signed,
                    key=self.key,
                )
            except (KeyError, ValueError) as e:
                text_ = f"the entry of {stanza['package']!r} cannot be read: {e!r}"
                raise DownloadError(text_, where=f"index of {self.suite} for {self.arch}") from e


@dataclass
class Indexes:
    """Gets indexes, from the cache or over the network.

    Args:
        mirror: where to ask.
        trust: how to check.
        downloader: how to download.
        update: ask even where a cached index is less than a day old.
        frozen: suites that Debian has ended, and the day of their last index.
        prefix: what stands before a suite's name in the cache, "" for Debian.
    """

    mirror: Mirror
    trust: Trust
    downloader: Downloader
    update: bool = False
    frozen: Mapping[str, datetime.date] = field(default_factory=dict)
    prefix: str = ""

    def get(self, suite: str, arch: str, progress: Progress = SILENT) -> Index:
        """Return the index of a suite.

        Where the network fails, or has an old index only, a cached one serves whatever its age, and ``progress`` notes
        it.

        Raises:
            NotThere: neither mirror nor archive server has the suite, and it is not cached.
            DownloadError: it cannot be had, is not signed as it must be, or is an old one or another suite's.
        """
        folder = cache.entry("indexes", f"{self.prefix}{suite}_{arch}")
        with cache.lock(f"indexes/{folder.name}"):
            cached = _read(folder, suite, arch)
            if cached is not None and self._current(cached):
                cache.touch(folder)
                return cached
            if cached is None and not self.update:
                self._still_out_of_step(folder, suite)
            try:
                return self._renew(folder, suite, arch, cached, progress)
            except (Unreachable, NotThere, Mismatch, Stale) as e:
                if cached is None:
                    _remember(folder, e)
                    raise
                days = (time.time() - cached.checked) / 86400
                progress.note(f"{suite}: using the cached index, {days:.1f} days old ({e.message})")
                return cached

    def _still_out_of_step(self, folder: Path, suite: str) -> None:
        """Raise the Mismatch that this mirror gave less than an hour ago."""
        try:
            about = json.loads((folder / "failed.json").read_bytes())
            recent = about["format"] == _FORMAT and 0 <= time.time() - about["time"] < PATIENCE
            same = about["where"].startswith(tuple(shown(self._secured(base)) for base in self.mirror.bases(suite)))
        except (OSError, ValueError, KeyError, TypeError):
            return
        if recent and same:
            raise Mismatch(about["message"], where=about["where"], remedy=about["remedy"])

    def reach(self, suite: str) -> str:
        """Return the URL of the archive that has a suite, asking the network; raises as `get` does."""
        return shown(self._secured(self._release(suite)[0]))

    def _current(self, cached: Index) -> bool:
        """Tell whether a cached index serves without asking: young, and of the same mirror."""
        young = 0 <= time.time() - cached.checked < LIFETIME
        return young and not self.update and cached.base in self.mirror.bases(cached.suite)

    def _renew(self, folder: Path, suite: str, arch: str, cached: Index | None, progress: Progress) -> Index:
        base, release, key = self._release(suite)
        path = f"main/binary-{arch}/Packages.xz"
        if path not in release.files:
            raise NotThere(f"has no packages for {arch}", where=suite)
        release.check_not_before(
            cached.date if cached else 0.0, shown(self._secured(base)) + f"/dists/{suite}/InRelease"
        )
        sha256, size = release.files[path]
        packages = folder / "Packages.xz"
        if not matches(packages, sha256, size):
            with cache.explained(folder):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "kernels.json").unlink(missing_ok=True)
            description = f"index of {suite} for {arch}"
            self._packages(base, suite, path, packages, sha256, size, description, progress)
        index = Index(suite, arch, folder, base, self.trust.name, time.time(), sha256, release.date.timestamp(), key)
        state = {"format": _FORMAT, "base": base, "signed": index.signed, "checked": index.checked}
        state |= {"sha256": sha256, "size": size, "date": index.date, "key": key}
        cache.write(folder / "state.json", json.dumps(state).encode())
        cache.touch(folder)
        return index

    def _release(self, suite: str) -> tuple[str, Release, str]:
        """Return the base URL that has the suite, what its InRelease says, checked, and who signed it."""
        missing: NotThere | None = None
        for base in self.mirror.bases(suite):
            url = f"{self._secured(base)}/dists/{suite}/InRelease"
            try:
                data = self.downloader.get(url)
            except NotThere as e:
                missing = missing or e
                continue
            text, key = self.trust.signed(data, shown(url))
            release = Release.read(text, shown(url))
            now = datetime.datetime.now(datetime.UTC)
            release.check(suite, shown(url), frozen=self.frozen.get(suite), now=now)
            return base, release, key
        raise NotThere(
            "neither the mirror nor Debian's archive server has this suite",
            where=missing.where if missing else suite,
            remedy="set EVERYKERNEL_DEBIAN_MIRROR to a mirror that has it",
        )

    def _packages(
        self,
        base: str,
        suite: str,
        path: str,
        target: Path,
        sha256: str,
        size: int,
        description: str,
        progress: Progress,
    ) -> None:
        """Download Packages.xz; by its hash where the plain name has moved on since InRelease (Acquire-By-Hash)."""
        top = f"{self._secured(base)}/dists/{suite}"
        by_hash = f"{path.rpartition('/')[0]}/by-hash/SHA256/{sha256}"

        def get(name: str) -> None:
            url = f"{top}/{name}"
            self.downloader.file(url, target, sha256=sha256, size=size, description=description, progress=progress)

        try:
            get(path)
        except Mismatch as e:
            try:
                get(by_hash)
            except NotThere:
                raise e from None

    def _secured(self, base: str) -> str:
        """Return the URL by HTTPS where no signature can be checked here."""
        return base if self.trust.complete else re.sub(r"^http:", "https:", base)

    def url(self, base: str, filename: str) -> str:
        """Return the URL of a package file below the URL of an archive."""
        return f"{self._secured(base)}/{filename}"


@functools.lru_cache(maxsize=2)
def _decompress(path: Path, sha256: str) -> bytes:
    """Return a Packages.xz as plain text (45 MB, a second): kept, since an image asks for thirty packages in a row."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        path.unlink()  # so that the next run has it anew
        raise DownloadError("the cached index is damaged", where=str(path), remedy="run the same again: it is had anew")
    try:
        return bounded.decompress(data, "xz", _LARGEST)
    except bounded.Damaged as e:
        raise DownloadError(f"not a sound index: {e}", where=str(path)) from e


def _remember(folder: Path, failure: DownloadError) -> None:
    """Note that a mirror is out of step with its own index, so that not every run asks it again."""
    if isinstance(failure, Mismatch) and failure.where:
        about = {"format": _FORMAT, "time": time.time(), "message": failure.message, "where": failure.where}
        cache.write(folder / "failed.json", json.dumps(about | {"remedy": failure.remedy}).encode())


def _read(folder: Path, suite: str, arch: str) -> Index | None:
    """Return the cached index, None where there is none that can be used."""
    try:
        state: dict[str, Any] = json.loads((folder / "state.json").read_bytes())
        if state["format"] != _FORMAT or (folder / "Packages.xz").stat().st_size != state["size"]:
            return None
        checked, date = float(state["checked"]), float(state.get("date", 0.0))
        key = str(state.get("key", ""))
        return Index(suite, arch, folder, state["base"], state["signed"], checked, state["sha256"], date, key)
    except (OSError, ValueError, KeyError, TypeError):
        return None
