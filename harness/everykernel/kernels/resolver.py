"""From specs to kernels: which candidate of which suite a spec means, or the nearest series to be had."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from everykernel import cache
from everykernel.architectures import DEFAULT, Architecture
from everykernel.errors import DownloadError, UnknownKernel
from everykernel.kernels import candidates, local, store
from everykernel.kernels.candidates import Candidate
from everykernel.kernels.catalogue import Series, order
from everykernel.kernels.debian import Archive
from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.kernels.progress import SILENT, Progress
from everykernel.kernels.spec import PATH_HINT, Spec


@dataclass
class Resolver:
    """Finds what specs mean.

    Args:
        archive: where kernels come from.
        progress: where downloads of indexes are shown.
    """

    archive: Archive
    progress: Progress = SILENT
    _offered: dict[tuple[str, str], list[Candidate] | DownloadError] = field(
        default_factory=dict, init=False, repr=False
    )

    def resolve(self, specs: Sequence[Spec]) -> list[ResolvedKernel]:
        """Return what the specs mean, in order, each kernel once under one name.

        Raises:
            UnknownKernel: a spec that no source serves.
            DownloadError: an index cannot be had, and no kernel in the cache serves instead.
        """
        found: dict[str, ResolvedKernel] = {}
        for spec in specs:
            for one in self._resolve(spec):
                found.setdefault(one.spec, one)
        return list(found.values())

    def _resolve(self, spec: Spec) -> list[ResolvedKernel]:
        if spec.kind == "path":
            return [local.resolve(spec)]
        if spec.btf:
            raise self._unknown(spec, "twins with and without BTF, built from source, are not to be had", spec.value)
        if spec.kind == "series":
            return [self._newest(spec, spec.value)]
        if spec.kind == "version":
            return [self._exact(spec)]
        if spec.kind == "debian":
            return [self._package(spec)]
        return self._several(spec)

    def _several(self, spec: Spec) -> list[ResolvedKernel]:
        """Return the kernels that a range, ``lts`` or ``latest`` stands for, oldest first; what is gone is left out."""
        rows = list(self.series(_arch(spec)).values())
        if spec.kind == "lts":
            rows = [row for row in rows if row.lts]
        elif spec.kind == "range":
            rows = [row for row in rows if order(spec.value) <= row.order <= order(spec.until)]
        found = []
        for row in reversed(rows):
            with contextlib.suppress(UnknownKernel):
                found.append(self._newest(replace(spec, text=spec.named(row.name)), row.name))
            if found and spec.kind == "latest":
                break
        if not found:
            raise self._unknown(spec, "no known series is in it", spec.value)
        return found[::-1]

    def series(self, arch: Architecture) -> dict[str, Series]:
        """Return the known series of an architecture, oldest first: the catalogue's, and what rolling suites add."""
        catalogue = self.archive.catalogue
        known = {name: row for name, row in catalogue.series.items() if arch.name in row.architectures}
        for suite in catalogue.rolling.get(arch.name, ()):
            for name in {one.series for one in self._candidates([suite], arch, tolerant=True)} - set(catalogue.series):
                known[name] = Series(name, (suite,), architectures=(arch.name,))
        return dict(sorted(known.items(), key=lambda item: item[1].order))

    def _row(self, series: str, arch: Architecture) -> Series | None:
        """Return where a series comes from, None if from nowhere; rolling suites are asked only where they may tell."""
        row = self.archive.catalogue.series.get(series)
        if row is None:
            return self.series(arch).get(series)
        return row if arch.name in row.architectures else None

    def newest(self, series: str, arch: Architecture, flavour: str = "") -> Candidate | None:
        """Return the newest kernel of a series, None if there is none; the architecture's default flavour for "".

        A suite that cannot be asked is passed over where another has the series; if none has, its error is raised.
        """
        row = self._row(series, arch)
        if row is None:
            return None
        offered = [one for one in self._candidates(row.suites, arch, tolerant=True) if one.series == series]
        for wanted in [flavour] if flavour else arch.flavours:
            chosen = [one for one in offered if one.flavour == wanted]
            if chosen:
                return max(chosen, key=lambda one: one.order)
        for failure in self._failures(row.suites, arch):
            raise failure
        return None

    def flavours(self, series: str, arch: Architecture) -> list[str]:
        """Return the flavours of a series, the architecture's default first."""
        row = self._row(series, arch)
        offered = self._candidates(row.suites, arch, tolerant=True) if row else []
        found = {one.flavour for one in offered if one.series == series}
        return sorted(found, key=lambda name: (name not in arch.flavours, name not in arch.flavours[:1], name))

    def _failures(self, suites: Sequence[str], arch: Architecture) -> list[DownloadError]:
        """Return why some of the suites could not be asked."""
        asked = (self._offered.get((suite, arch.name)) for suite in suites)
        return [one for one in asked if isinstance(one, DownloadError)]

    def _newest(self, spec: Spec, series: str) -> ResolvedKernel:
        arch = _arch(spec)
        try:
            chosen = self.newest(series, arch, self._flavour(spec, arch))
        except DownloadError as e:
            return self._cached(spec, lambda kernel: kernel.series == series, otherwise=e)
        if chosen is None:
            raise self._unknown(spec, self._missing(spec, series, arch), series)
        return self._resolved(spec, chosen)

    def _exact(self, spec: Spec) -> ResolvedKernel:
        """Return the kernel of an exact upstream version, from all suites of its series or from the cache."""
        arch = _arch(spec)
        flavour = self._flavour(spec, arch)
        flavours = [flavour] if flavour else list(arch.flavours)
        chosen = self._among(spec, lambda one: one.upstream == spec.value and one.flavour in flavours)
        if chosen:
            return self._resolved(spec, min(chosen, key=lambda one: flavours.index(one.flavour)))
        return self._cached(spec, lambda kernel: candidates.upstream(kernel.version) == spec.value)

    def _listed(self, spec: Spec, series: str) -> list[str]:
        """Return the versions of a series that the indexes list, oldest first."""
        row = self._row(series, _arch(spec))
        suites = (*row.suites, *row.more) if row else ()
        offered = self._candidates(suites, _arch(spec), tolerant=True)
        return sorted({one.upstream for one in offered if one.series == series}, key=order)

    def _package(self, spec: Spec) -> ResolvedKernel:
        """Return the kernel of a Debian package, named whole or from its version on."""
        name = spec.value
        for kind in ("linux-image-", "linux-binary-"):
            name = name.removeprefix(kind)
        chosen = self._among(spec, lambda one: one.release == name)
        return self._resolved(spec, chosen[0]) if chosen else self._cached(spec, lambda kernel: kernel.release == name)

    def _among(self, spec: Spec, wanted: Callable[[Candidate], bool]) -> list[Candidate]:
        """Return the candidates that are wanted, in the first suite that has any; none where no suite is in reach."""
        arch = _arch(spec)
        row = self._row(_series(spec.value), arch)
        for suite in (*row.suites, *row.more) if row else ():
            chosen = [one for one in self._candidates([suite], arch, tolerant=True) if wanted(one)]
            if chosen:
                return chosen
        return []

    def _cached(
        self, spec: Spec, wanted: Callable[[Kernel], bool], *, otherwise: DownloadError | None = None
    ) -> ResolvedKernel:
        """Return the newest wanted kernel of the cache.

        If there is none, raise ``otherwise``, or what kept an index of the series away, or else UnknownKernel.
        """
        arch = _arch(spec)
        flavour = self._flavour(spec, arch)
        kernels = [(one, one.kernel(spec.text)) for one in store.stored()]
        chosen = [
            (one, kernel)
            for one, kernel in kernels
            if kernel.arch == arch and wanted(kernel) and (not flavour or kernel.flavour == flavour)
        ]
        if not chosen:
            row = self._row(_series(spec.value), arch)
            for failure in [otherwise] if otherwise else self._failures((*row.suites, *row.more) if row else (), arch):
                raise failure
            raise self._unknown(spec, f"no source has {spec.value}", _series(spec.value))
        usual = [flavour] if flavour else list(arch.flavours)
        rank = {name: -place for place, name in enumerate(usual)}
        one, _ = max(chosen, key=lambda p: (rank.get(p[1].flavour, -len(rank)), candidates.parsed(p[1].version)))
        return self._resolved(spec, store.candidate(one))

    def _resolved(self, spec: Spec, chosen: Candidate) -> ResolvedKernel:
        archive = self.archive

        row = self._row(chosen.series, chosen.arch)
        failures = self._failures(row.suites if row else (), chosen.arch)
        notes = [f"a newer version may be in an index that could not be had: {e.where}: {e.message}" for e in failures]

        def fetcher(resolved: ResolvedKernel, progress: Progress) -> Kernel:
            kernel = store.fetch(chosen, archive, resolved.spec, progress)
            return replace(kernel, notes=(*kernel.notes, *notes))

        first = chosen.packages[0]
        folder = store.folder_of(chosen)
        cache.hold(folder)  # it is about to be used: no kernel that is made ready before it may push it out
        return ResolvedKernel(
            spec=spec.text,
            arch=chosen.arch,
            series=chosen.series,
            version=chosen.version,
            release=chosen.release,
            package=first.name,
            source=f"debian:{first.suite}",
            flavour=chosen.flavour,
            fetcher=fetcher,
            cached=folder.is_dir(),
        )

    def _flavour(self, spec: Spec, arch: Architecture) -> str:
        return self.archive.catalogue.flavours.get(arch.name, {}).get(spec.flavour, spec.flavour)

    def _candidates(self, suites: Sequence[str], arch: Architecture, *, tolerant: bool = False) -> list[Candidate]:
        """Return what the suites offer; where ``tolerant``, an index that cannot be had offers nothing."""
        wanted = [suite for suite in suites if (suite, arch.name) not in self._offered]
        with ThreadPoolExecutor(4) as pool:
            for suite, offered in zip(wanted, pool.map(lambda suite: self._ask(suite, arch), wanted), strict=True):
                self._offered[(suite, arch.name)] = offered
        found: list[Candidate] = []
        for suite in suites:
            offered = self._offered[(suite, arch.name)]
            if isinstance(offered, list):
                found += offered
            elif not tolerant:
                raise offered
        return found

    def _ask(self, suite: str, arch: Architecture) -> list[Candidate] | DownloadError:
        """Return what one suite offers, or why it cannot be told."""
        flavours = {*arch.flavours, *self.archive.catalogue.flavours.get(arch.name, {}).values()}
        try:
            entries = self.archive.kernels(suite, arch.debian, self.progress)
        except DownloadError as e:
            self.archive.left_out(suite, arch.debian, e, self.progress)
            return e
        return candidates.group(entries, arch, sorted(flavours))

    def _missing(self, spec: Spec, series: str, arch: Architecture) -> str:
        """Return why a series gives nothing, in a few words."""
        row = self.archive.catalogue.series.get(series)
        if spec.flavour:
            known = ", ".join(self.flavours(series, arch)) or "none"
            return f"no flavour {spec.flavour!r} of {series} for {arch.name}, only {known}"
        if row is None:
            return f"no source has kernel {series}"
        if arch.name not in row.architectures:
            return f"no source has kernel {series} for {arch.name}, only for {', '.join(row.architectures)}"
        return f"Debian no longer lists kernel {series}"

    def _unknown(self, spec: Spec, why: str, series: str) -> UnknownKernel:
        """Return the error for a spec, with what comes nearest of what is to be had."""
        arch = _arch(spec)
        near = ""
        if spec.kind == "version":
            near = _nearest(spec.value, self._listed(spec, series))
        if not near:
            gone = (
                [] if spec.btf or spec.flavour or spec.kind == "debian" else [series]
            )  # what "no such series" was said of
            near = _nearest(series, [name for name in self.series(arch) if name not in gone])
        nearest = near if not near or arch == DEFAULT else f"{near}/{arch.name}"
        remedy = f"the nearest to be had is {nearest}, {PATH_HINT}" if nearest else PATH_HINT.removeprefix("or ")
        return UnknownKernel(why, spec=spec.text, nearest=nearest, where=spec.text, remedy=remedy)


def _arch(spec: Spec) -> Architecture:
    assert spec.arch is not None, "only a path has no architecture"
    return spec.arch


def _series(text: str) -> str:
    """Return the series in a version or package name (``linux-image-6.1.0-56-cloud-amd64``: ``6.1``), "" if none is."""
    match = re.search(r"\d+\.\d+", text)
    return match[0] if match else ""


def _nearest(wanted: str, known: Sequence[str]) -> str:
    """Return the known series or version nearest to one by number, "" if none is known."""

    def distance(name: str) -> int:
        pairs = zip(order(name), order(wanted), strict=False)
        weights = (20 * 1000, 1000, 1)  # Linux has had about twenty series a major number
        return abs(sum(weight * (a - b) for weight, (a, b) in zip(weights, pairs, strict=False)))

    return min(known, key=distance, default="") if re.fullmatch(r"[\d.]+", wanted) else ""
