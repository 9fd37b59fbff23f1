"""Debian: its archive's suites, as kernels/catalogue.toml lists them by series."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from everykernel.architectures import Architecture
from everykernel.errors import DownloadError
from everykernel.kernels import candidates, deb, mirror
from everykernel.kernels.catalogue import Series
from everykernel.kernels.debian import Archive
from everykernel.kernels.packages import Candidate, Layout, Offer, Package, fitting, series_in
from everykernel.kernels.progress import Progress
from everykernel.kernels.sources import listing
from everykernel.kernels.sources.protocol import Members


class Debian:
    """An archive in Debian's format as a source (`protocol.Source`)."""

    name = "debian"
    setting = mirror.SETTING
    quiet: tuple[type[DownloadError], ...] = ()  # what the resolver notes once, not each suite
    layout = Layout(
        no_modules="no modules: Debian's signed index has no linux-modules-{release}",
        no_config="no build configuration: none of the packages in Debian's signed index holds it",
    )

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._offered: dict[tuple[str, str], list[Candidate] | DownloadError] = {}
        self._lock = threading.Lock()

    def series(self, arch: Architecture, progress: Progress) -> Mapping[str, Series]:
        """Return the catalogue's series, and what rolling suites add."""
        catalogue = self.archive.catalogue
        known = {name: row for name, row in catalogue.series.items() if arch.name in row.architectures}
        for suite in catalogue.rolling.get(arch.name, ()):
            for name in {one.series for one in self._candidates([suite], arch, progress)} - set(catalogue.series):
                known[name] = Series(name, (suite,), architectures=(arch.name,))
        return known

    def offer(self, wanted: str, arch: Architecture, progress: Progress, *, thorough: bool = False) -> Offer:
        """Return the kernels of a series over all its suites; of a version or release, in the first that has any."""
        name = re.sub(r"^linux-(image|binary)-", "", wanted)
        row = self._row(series_in(name), arch, progress)
        if row is None:
            return Offer()
        if not thorough:
            return Offer(fitting(self._candidates(row.suites, arch, progress), name), self._failures(row.suites, arch))
        suites = (*row.suites, *row.more)
        for suite in suites:
            if chosen := fitting(self._candidates([suite], arch, progress), name):
                return Offer(chosen, self._failures(row.suites, arch))
        return Offer((), self._failures(suites, arch))

    def flavours(self, arch: Architecture) -> Sequence[str]:
        """Return Debian's flavours, the cloud's first."""
        return arch.flavours

    def flavour(self, arch: Architecture, name: str) -> str:
        """Return Debian's name."""
        return self.archive.catalogue.flavours.get(arch.name, {}).get(name, name)

    def fetch(self, package: Package, progress: Progress) -> Path:
        """Return the package's file, by the SHA-256 of the signed index."""
        try:
            if package.base:
                return listing.fetch(self.archive.downloader, package, progress)
            return self.archive.fetch(package, progress)
        except DownloadError as e:
            listing.ours(e, self.setting)
            raise

    def signer(self, package: Package) -> str:
        """Return the key that signed the index, "" if none did."""
        return package.key

    def snapshot(self, package: Package, time: str) -> str:
        """Return the URL at the snapshot service, which keeps security's archive apart from the other."""
        own = "debian-security" if package.suite.endswith("-security") else "debian"
        return self.archive.catalogue.snapshot.format(archive=own, time=time)

    def unpack(self, path: Path, *, largest: int) -> Members:
        """Yield the members of a .deb."""
        return deb.unpack(path, largest=largest)

    def _row(self, series: str, arch: Architecture, progress: Progress) -> Series | None:
        """Return where a series comes from, None if from nowhere; rolling suites are asked only where they may tell."""
        row = self.archive.catalogue.series.get(series)
        if row is None:
            return self.series(arch, progress).get(series)
        return row if arch.name in row.architectures else None

    def _failures(self, suites: Sequence[str], arch: Architecture) -> list[DownloadError]:
        """Return why some of the suites could not be asked."""
        asked = (self._offered.get((suite, arch.name)) for suite in suites)
        return [one for one in asked if isinstance(one, DownloadError)]

    def _candidates(self, suites: Sequence[str], arch: Architecture, progress: Progress) -> list[Candidate]:
        """Return what the suites offer; an index that cannot be had offers nothing."""
        with self._lock:
            wanted = [suite for suite in suites if (suite, arch.name) not in self._offered]
            with ThreadPoolExecutor(4) as pool:
                answers = pool.map(lambda suite: self._ask(suite, arch, progress), wanted)
                self._offered.update(((suite, arch.name), got) for suite, got in zip(wanted, answers, strict=True))
        offered = (self._offered[suite, arch.name] for suite in suites)
        return [one for got in offered if isinstance(got, list) for one in got]

    def _ask(self, suite: str, arch: Architecture, progress: Progress) -> list[Candidate] | DownloadError:
        """Return what one suite offers, or why it cannot be told."""
        try:
            entries = self.archive.kernels(suite, arch.debian, progress)
        except DownloadError as e:
            listing.ours(e, self.setting)
            if not isinstance(e, self.quiet):
                self.archive.left_out(suite, arch.debian, e, progress)
            return e
        return candidates.group(entries, arch, self._flavours(arch), self.name)

    def _flavours(self, arch: Architecture) -> Sequence[str]:
        """Return all flavours that are looked for."""
        return sorted({*arch.flavours, *self.archive.catalogue.flavours.get(arch.name, {}).values()})
