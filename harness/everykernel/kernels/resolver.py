"""From specs to kernels: which source has what a spec means, or what each of them said and the nearest to be had."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from everykernel import cache
from everykernel.architectures import ARCHITECTURES, DEFAULT, Architecture
from everykernel.errors import DownloadError, UnknownKernel
from everykernel.kernels import local, store
from everykernel.kernels import lock as locks
from everykernel.kernels.catalogue import Series, order
from everykernel.kernels.download import NotThere
from everykernel.kernels.model import Fetcher, Kernel, ResolvedKernel
from everykernel.kernels.packages import Candidate, fitting, series_in
from everykernel.kernels.progress import SILENT, Progress
from everykernel.kernels.sources import table
from everykernel.kernels.sources.protocol import Source
from everykernel.kernels.spec import PATH_HINT, Spec, parse
from everykernel.kernels.twins import resolve


@dataclass
class Resolver:
    """Finds what specs mean.

    Args:
        sources: where kernels come from, in the order in which they are asked.
        progress: where downloads of indexes are shown.
        make: returns a source that a spec names and that is not among ``sources``.
        lock: what specs mean, where it knows them.
        locked: refuse what the lock does not know, and look for nothing newer.
    """

    sources: Sequence[Source]
    progress: Progress = SILENT
    make: Callable[[str], Source] = table.make
    lock: locks.Lock | None = None
    locked: bool = False
    _made: dict[str, Source] = field(default_factory=dict, init=False, repr=False)

    def resolve(self, specs: Sequence[Spec]) -> list[ResolvedKernel]:
        """Return what the specs mean, in order, each kernel once under one name.

        Raises:
            UnknownKernel: a spec that no source serves.
            DownloadError: a source that may have it cannot be asked, and no kernel in the cache serves instead.
        """
        found: dict[str, ResolvedKernel] = {}
        for spec in specs:
            try:
                for one in self._resolve(spec):
                    found.setdefault(one.spec, one)
            except _Away as e:
                raise e.error from e.error.__cause__
        return list(found.values())

    def _resolve(self, spec: Spec) -> list[ResolvedKernel]:
        if spec.kind == "path":
            return [local.resolve(spec)]
        if held := self.lock.meant(spec.text) if self.lock is not None else []:
            return [self._held(one) for one in held]
        if self.locked:
            raise UnknownKernel(
                f"is not in {locks.FILENAME}",
                spec=spec.text,
                where=spec.text,
                remedy="everykernel kernels lock adds it",
            )
        if spec.btf:
            return [resolve.resolve(spec)]
        if spec.kind == "named":
            return [self._one(spec, [self.source(spec.source)])]
        if spec.kind in ("series", "version"):
            return [self._one(spec, self.sources)]
        return self._several(spec)

    def source(self, name: str) -> Source:
        """Return the source of that name; raise UsageError if there is none."""
        for one in (*self.sources, *self._made.values()):
            if one.name == name:
                return one
        return self._made.setdefault(name, self.make(name))

    def series(self, arch: Architecture) -> dict[str, Series]:
        """Return the series that the sources have for an architecture, oldest first."""
        known: dict[str, Series] = {}
        for source in self.sources:
            known = {**source.series(arch, self.progress), **known}
        return dict(sorted(known.items(), key=lambda item: item[1].order))

    def _several(self, spec: Spec) -> list[ResolvedKernel]:
        """Return the kernels that a range, ``lts`` or ``latest`` stands for, oldest first; what is gone is left out.

        So is what only a further source has that cannot be asked: that is noted, once for each source.
        """
        rows = list(self.series(_arch(spec)).values())
        if spec.kind == "lts":
            rows = [row for row in rows if row.lts]
        elif spec.kind == "range":
            rows = [row for row in rows if order(spec.value) <= row.order <= order(spec.until)]
        found: list[ResolvedKernel] = []
        away: set[str] = set()
        for row in reversed(rows):
            asked = [one for one in self.sources if one.name not in away]
            try:
                one = replace(spec, kind="series", value=row.name, until="", text=spec.named(row.name))
                found.append(self._one(one, asked))
            except UnknownKernel:
                continue
            except _Away as e:
                if e.source is self.sources[0]:
                    raise
                away.add(e.source.name)
                self.progress.note(f"{e.source.name} is left out of {spec.text}: {e.error}")
            if found and spec.kind == "latest":
                break
        if not found:
            raise self._unknown(spec, "no known series is in it")
        return found[::-1]

    def _one(self, spec: Spec, sources: Sequence[Source]) -> ResolvedKernel:
        """Return the kernel of the first source that has it.

        A source that may have it and cannot be asked is not passed over: what a spec means must not depend on which
        servers are up today.
        """
        said: list[tuple[Source, str]] = []
        for source in sources:
            offer = source.offer(spec.value, _arch(spec), self.progress, thorough=spec.kind != "series")
            chosen = self.choose(spec, source, offer.candidates)
            if chosen is None:
                chosen = self._cached(spec, source)
            if chosen is not None:
                older = _older(chosen, offer.candidates) if spec.kind == "series" else []
                return self._resolved(spec, source, chosen, older, offer.failures)
            if offer.failures:
                raise self._away(spec, source, offer.failures[0], said)
            said.append((source, self._missing(spec, source)))
        raise self._unknown(spec, _told(spec, said))

    def choose(self, spec: Spec, source: Source, offered: Sequence[Candidate]) -> Candidate | None:
        """Return the newest of the flavour that the spec names, else of the source's first flavour that there is."""
        arch = _arch(spec)
        flavours = [source.flavour(arch, spec.flavour)] if spec.flavour else source.flavours(arch)
        for wanted in flavours:
            if chosen := [one for one in offered if one.flavour == wanted]:
                return max(chosen, key=lambda one: one.order)
        if spec.flavour or (flavours and _is_version(spec.value)):
            return None
        return max(offered, key=lambda one: one.order, default=None)

    def flavours(self, series: str, arch: Architecture, source: Source) -> list[str]:
        """Return the flavours of a source's series, the default first."""
        usual = list(source.flavours(arch))
        found = {one.flavour for one in source.offer(series, arch, self.progress).candidates}
        return sorted(found, key=lambda name: (name not in usual, name not in usual[:1], name))

    def _cached(self, spec: Spec, source: Source) -> Candidate | None:
        """Return the best kernel that the cache has of a source, None if none fits."""
        kernels = [store.candidate(one) for one in store.stored()]
        ours = [one for one in kernels if one.source == source.name and one.arch == _arch(spec)]
        if spec.kind == "named":  # rocky:9, arch:linux-lts: what the source itself calls a part of it
            part = [one for one in ours if one.packages[0].suite == spec.value]
            if part:
                return self.choose(spec, source, part)
        return self.choose(spec, source, fitting(ours, re.sub(r"^linux-(image|binary)-", "", spec.value)))

    def _resolved(
        self,
        spec: Spec,
        source: Source,
        chosen: Candidate,
        older: Sequence[Candidate] = (),
        failures: Sequence[DownloadError] = (),
    ) -> ResolvedKernel:
        notes = [f"a newer version may be in an index that could not be had: {e.where}: {e.message}" for e in failures]

        def fetcher(resolved: ResolvedKernel, progress: Progress) -> Kernel:
            kernel = _fetch([chosen, *older], source, resolved.spec, progress)
            return replace(kernel, notes=(*kernel.notes, *notes))

        return self._ready(spec.text, chosen, fetcher)

    def _held(self, held: locks.Held) -> ResolvedKernel:
        """Return a kernel of the lock; a newer one is noted."""
        lock, source = self.lock, self.source(held.candidate.source)
        assert lock is not None, "it holds this kernel"
        later = None if self.locked else self._today(held, source)
        if later is not None and later.order > held.candidate.order:
            self.progress.note(f"{held.spec}: {later.version} is there, {lock.path.name} has {held.candidate.version}")

        def fetcher(resolved: ResolvedKernel, progress: Progress) -> Kernel:
            return lock.fetch(held, source, resolved.spec, progress, lambda: self._today(held, source))

        return self._ready(held.spec, held.candidate, fetcher, store.folder_of(locks.kept(held)))

    def _today(self, held: locks.Held, source: Source) -> Candidate | None:
        """Return what the spec of a lock's kernel means today, None for nothing, or for what is a file or an image."""
        if source.name in table.SLASHED:  # whose versions have no order
            return None
        (spec,) = parse(held.spec)
        return self.choose(spec, source, source.offer(spec.value, _arch(spec), self.progress).candidates)

    @staticmethod
    def _ready(spec: str, chosen: Candidate, fetcher: Fetcher, folder: Path | None = None) -> ResolvedKernel:
        folder = folder or store.folder_of(chosen)
        cache.hold(folder)  # it is about to be used: no kernel that is made ready before it may push it out
        return ResolvedKernel(
            spec=spec,
            arch=chosen.arch,
            series=chosen.series,
            version=chosen.version,
            release=chosen.release,
            package=chosen.packages[0].name,
            source=chosen.origin,
            flavour=chosen.flavour,
            fetcher=fetcher,
            cached=folder.is_dir(),
        )

    def _missing(self, spec: Spec, source: Source) -> str:
        """Return why a source gives nothing, in a few words, "" if it just has none."""
        arch, series = _arch(spec), series_in(spec.value)
        if spec.kind == "version" or not _is_version(spec.value):
            return ""
        if spec.flavour and (known := self.flavours(series, arch, source)):
            return f"no flavour {spec.flavour!r} of {series} for {arch.name}, only {', '.join(known)}"
        if series in source.series(arch, self.progress):
            return f"{source.name.capitalize()} no longer lists kernel {series}"
        others = [one.name for one in ARCHITECTURES.values() if series in source.series(one, self.progress)]
        return f"no source has kernel {series} for {arch.name}, only for {', '.join(others)}" if others else ""

    def _away(self, spec: Spec, source: Source, failure: DownloadError, said: Sequence[tuple[Source, str]]) -> _Away:
        """Return the error for a source that may have what is meant, and cannot be asked."""
        if not said:
            return _Away(source, failure)
        near = self._nearest(spec)
        remedy = f"{failure.remedy}; the nearest to be had is {near}" if near else failure.remedy
        before = ", ".join(f"{one.name} {why or 'has none'}" for one, why in said)
        text = f"{before}, and {source.name} could not be asked: {failure.where}: {failure.message}"
        return _Away(source, DownloadError(text, where=spec.text, remedy=remedy))

    def _unknown(self, spec: Spec, why: str) -> UnknownKernel:
        """Return the error for a spec, with what comes nearest of what is to be had."""
        near = self._nearest(spec)
        remedy = f"the nearest to be had is {near}, {PATH_HINT}" if near else PATH_HINT.removeprefix("or ")
        return UnknownKernel(why, spec=spec.text, nearest=near, where=spec.text, remedy=remedy)

    def _nearest(self, spec: Spec) -> str:
        """Return the nearest version or series that is to be had, "" if none is near."""
        arch, series = _arch(spec), series_in(spec.value)
        near = ""
        if spec.kind == "version":
            offers = [one.offer(series, arch, self.progress).candidates for one in self.sources]
            near = nearest(spec.value, sorted({c.upstream for offered in offers for c in offered}, key=order))
        if not near:
            # what "no such series" was said of is not near
            gone = [] if spec.btf or spec.flavour or spec.kind == "named" else [series]
            near = nearest(series, [name for name in self.series(arch) if name not in gone])
        return near if not near or arch == DEFAULT else f"{near}/{arch.name}"


class _Away(Exception):
    """A source that may have what is meant could not be asked: ``error`` says so to the user."""

    def __init__(self, source: Source, error: DownloadError) -> None:
        super().__init__(str(error))
        self.source, self.error = source, error


def _arch(spec: Spec) -> Architecture:
    assert spec.arch is not None, "only a path has no architecture"
    return spec.arch


def _is_version(text: str) -> bool:
    return re.fullmatch(r"\d+\.\d+(\.\d+)?", text) is not None


def _told(spec: Spec, said: Sequence[tuple[Source, str]]) -> str:
    """Return what the sources that were asked said; one alone speaks for all."""
    plain = f"no source has {'kernel ' if spec.kind == 'series' else ''}{spec.value}"
    if len(said) == 1:
        return said[0][1] or plain
    return f"{plain}: " + ", ".join(f"{one.name}: {why}" if why else f"{one.name} has none" for one, why in said)


def nearest(wanted: str, known: Sequence[str]) -> str:
    """Return the known series or version nearest to one by number, "" if none is known."""

    def distance(name: str) -> int:
        pairs = zip(order(name), order(wanted), strict=False)
        weights = (20 * 1000, 1000, 1)  # Linux has had about twenty series a major number
        return abs(sum(weight * (a - b) for weight, (a, b) in zip(weights, pairs, strict=False)))

    return min(known, key=distance, default="") if re.fullmatch(r"[\d.]+", wanted) else ""


def _older(chosen: Candidate, offered: Sequence[Candidate]) -> list[Candidate]:
    """Return what was offered of the same flavour before ``chosen``, the newest first."""
    alike = [one for one in offered if one.flavour == chosen.flavour and one.order < chosen.order]
    return sorted(alike, key=lambda one: one.order, reverse=True)


def _fetch(candidates: Sequence[Candidate], source: Source, spec: str, progress: Progress) -> Kernel:
    """Return the first of the candidates whose packages are there: a mirror's index may be ahead of its files.

    Raises:
        DownloadError: none is there (the error is the first one's), or one that is there cannot be had.
    """
    gone: NotThere | None = None
    for one in candidates:
        try:
            kernel = store.fetch(one, source, spec, progress)
        except NotThere as e:
            gone = gone or e
            continue
        if gone is None:
            return kernel
        note = f"{candidates[0].version} is in the index and not on the server: {one.version} was taken"
        progress.note(f"{spec}: {note}")
        return replace(kernel, notes=(*kernel.notes, note))
    assert gone is not None, "a series has candidates"
    raise gone
