"""Debian's archive as seen from this machine: signed indexes, packages by SHA-256, and what is inside a .deb."""

from __future__ import annotations

import os
import posixpath
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from everykernel import cache
from everykernel.errors import DownloadError
from everykernel.kernels import catalogue as catalogues
from everykernel.kernels import mirror as mirrors
from everykernel.kernels.control import Version
from everykernel.kernels.deb import unpack
from everykernel.kernels.download import Downloader, NotThere, Unreachable, matches
from everykernel.kernels.index import Entry, Index, Indexes
from everykernel.kernels.progress import SILENT, Progress
from everykernel.kernels.trust import Trust

__all__ = ["Archive", "Entry", "unpack"]


class Archive:
    """The Debian archive, through its mirror and the cache. Safe to use from several threads.

    Args:
        catalogue: names the default servers; None reads the project's own.
        mirror: where to ask; None finds out (`everykernel.kernels.mirror`).
        trust: how to check signatures; None takes what the host has.
        update: ask for indexes anew even where a cached one is less than a day old.
        prefix: what stands before a suite's name in the cache, "" for Debian.
    """

    def __init__(
        self,
        *,
        catalogue: catalogues.Catalogue | None = None,
        mirror: mirrors.Mirror | None = None,
        trust: Trust | None = None,
        update: bool = False,
        environ: Mapping[str, str] = os.environ,
        prefix: str = "",
    ) -> None:
        self.catalogue = catalogue or catalogues.load()
        self.mirror = mirror or mirrors.choose(self.catalogue, environ=environ)
        self.trust = trust or Trust.of_host()
        self.downloader = Downloader(https_only=not self.trust.complete, proxy=self.mirror.proxy)
        self._indexes = Indexes(self.mirror, self.trust, self.downloader, update, self.catalogue.frozen, prefix)
        self._seen: dict[tuple[str, str], Index] = {}
        self._failed: dict[tuple[str, str], DownloadError] = {}
        self._said: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def index(self, suite: str, arch: str, progress: Progress | None = None) -> Index:
        """Return a suite's index, asked for at most once in this object's life; raises as `Indexes.get` does."""
        with self._lock:
            known = self._seen.get((suite, arch))
            failed = self._failed.get((suite, arch))
        if failed is not None:
            raise failed
        if known is None:
            try:
                known = self._indexes.get(suite, arch, progress or SILENT)
            except DownloadError as e:
                with self._lock:
                    self._failed[(suite, arch)] = e
                raise
            with self._lock:
                self._seen[(suite, arch)] = known
        return known

    def package(self, suite: str, name: str, arch: str, progress: Progress | None = None) -> Entry | None:
        """Return the newest ``name`` of a suite (``bookworm``, ``bookworm-security``), None if the suite has none.

        ``arch`` is Debian's name (``amd64``). Raises DownloadError where the index cannot be had.
        """
        entries = self.index(suite, arch, progress).packages(name)
        return max(entries, key=lambda entry: Version(entry.version), default=None)

    def newest(self, suites: Sequence[str], name: str, arch: str, progress: Progress | None = None) -> Entry:
        """Return the newest ``name`` that any of the suites has.

        A suite whose index cannot be had is passed over, with a note, where another has the package.

        Raises:
            DownloadError: none of them has it, or the first reason why an index cannot be had.
        """
        found: list[Entry] = []
        failures: list[DownloadError] = []
        for suite in suites:
            try:
                entry = self.package(suite, name, arch, progress)
            except DownloadError as e:
                failures.append(e)
                self.left_out(suite, arch, e, progress)
                continue
            found += [entry] if entry is not None else []
        if found:
            return max(found, key=lambda entry: Version(entry.version))
        if failures:
            raise failures[0]
        raise DownloadError(f"neither {' nor '.join(suites)} has it for {arch}", where=f"package {name}")

    def left_out(self, suite: str, arch: str, why: DownloadError, progress: Progress | None) -> None:
        """Say once that a suite is passed over."""
        with self._lock:
            said = (suite, arch) in self._said
            self._said.add((suite, arch))
        if not said:
            (progress or SILENT).note(f"{suite} for {arch} is left out: {why}")

    def reach(self, suite: str) -> str:
        """Ask the network for a suite's signed index, whatever the cache has; return the URL of the archive.

        Raises:
            DownloadError: it cannot be had, or is not signed as it must be.
        """
        return self._indexes.reach(suite)

    def kernels(self, suite: str, arch: str, progress: Progress | None = None) -> list[Entry]:
        """Return the kernel packages of a suite; none where the suite is nowhere to be had."""
        try:
            return self.index(suite, arch, progress).kernels()
        except NotThere:
            return []

    def fetch(self, entry: Entry, progress: Progress | None = None) -> Path:
        """Return the package's file in the cache, whole and verified; download it if it is not there.

        Raises:
            DownloadError: it cannot be had whole from anywhere.
            CacheError: the cache cannot be written.
        """
        path = cache.entry("packages", f"{entry.sha256[:12]}-{posixpath.basename(entry.filename)}")
        if not matches(path, entry.sha256, entry.size):
            self._download(entry, path, progress or SILENT)
        cache.touch(path)
        return path

    def _download(self, entry: Entry, path: Path, progress: Progress) -> None:
        """Download a package from where its index came from, then from wherever else its suite may be."""
        try:
            own = self.index(entry.suite, entry.arch, progress).base
        except DownloadError:  # a lock names it, with its digest, whatever has become of the index
            own = self.mirror.bases(entry.suite)[0]
        failures: list[DownloadError] = []
        for base in dict.fromkeys((own, *self.mirror.bases(entry.suite))):
            try:
                self.downloader.file(
                    self._indexes.url(base, entry.filename),
                    path,
                    sha256=entry.sha256,
                    size=entry.size,
                    description=entry.name,
                    progress=progress,
                )
            except (NotThere, Unreachable) as e:
                failures.append(e)
                if isinstance(e, Unreachable) and base == own:
                    break
            else:
                return
        if isinstance(failures[0], NotThere):
            remedy = "the index has moved on: everykernel kernels fetch --update; or name another version"
            raise NotThere(failures[0].message, where=failures[0].where, remedy=remedy) from failures[0]
        raise failures[0]
