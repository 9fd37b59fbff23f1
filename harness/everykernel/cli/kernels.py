"""``everykernel kernels``: what kernels there are, and which of them are here."""

from __future__ import annotations

import datetime
import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from everykernel import cache, kernels, settings
from everykernel.architectures import ARCHITECTURES
from everykernel.cli import choices, say
from everykernel.cli.progress import shown
from everykernel.errors import HarnessError, UnknownKernel, UsageError
from everykernel.escaping import printable
from everykernel.kernels import lock, store
from everykernel.kernels.catalogue import Series
from everykernel.kernels.debian import Archive
from everykernel.kernels.packages import Candidate, upstream
from everykernel.kernels.progress import Progress
from everykernel.kernels.resolver import Resolver
from everykernel.kernels.spec import Spec
from everykernel.kernels.twins import build, kept, parts
from everykernel.report import screen

_update = click.option(
    "--update", is_flag=True, help="Ask the archive anew, even where the cached index is less than a day old."
)


@click.group("kernels")
def kernels_group() -> None:
    """List, fetch, locate and remove kernels.

    A kernel is named by a spec: 6.1 (the newest 6.1), 6.1.192, 6.1+generic, 6.1/i386, 5.10..6.12, lts, latest,
    debian:6.1.0-56-cloud-amd64, 6.1-nobtf (which build builds), ./bzImage, or a kernel build directory.
    """


@dataclass(frozen=True)
class Row:
    """One line of the list: a series for one architecture, and its newest kernel."""

    spec: str
    arch: str
    version: str
    release: str
    flavours: tuple[str, ...]
    source: str
    suite: str
    btf: bool | None
    cached: bool
    bytes: int
    lts: bool
    notes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return the row for JSON; ``btf`` is null where nobody knows."""
        return {name: list(v) if isinstance(v := getattr(self, name), tuple) else v for name in self.__annotations__}


@kernels_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@_update
def list_command(as_json: bool, update: bool) -> None:
    """List the series to be had, the newest kernel of each, and which are in the cache."""
    with shown(quiet=as_json) as progress:
        rows = list_rows(kernels.finder(progress, update=update), progress)
    if as_json:
        say.data([row.plain() for row in rows], indent=1)
        return
    _print(rows)
    for twin in kept.here():
        say.out(printable(f"{twin.series}-{twin.part}  {upstream(twin.version)}, built here"))


def list_rows(resolver: Resolver, progress: Progress) -> list[Row]:
    """Return the rows of the list, by architecture, oldest series first; what nobody has any more is left out."""
    here = {one.folder: one for one in store.stored()}
    rows = []
    for arch, source in itertools.product(ARCHITECTURES.values(), resolver.sources):
        own = source.series(arch, progress)
        for name, series in sorted(own.items(), key=lambda item: item[1].order):
            offer = source.offer(name, arch, progress)
            newest = resolver.choose(Spec(name, "series", name, arch=arch), source, offer.candidates)
            if newest is not None:
                found = here.get(store.folder_of(newest))
                rows.append(_row(newest, series, found, resolver.flavours(name, arch, source)))
            elif offer.failures:
                progress.note(f"{name} for {arch.name} is left out: {offer.failures[0]}")
    return rows


def _row(newest: Candidate, series: Series, found: store.Stored | None, flavours: list[str]) -> Row:
    """Return one row; whether a kernel has BTF is known of those here, else from the catalogue."""
    expected = newest.arch.name in series.btf if series.name in kernels.series() else None
    tail = "" if newest.arch.name == "x86_64" else f"/{newest.arch.name}"
    return Row(
        spec=newest.series + tail,
        arch=newest.arch.name,
        version=newest.version,
        release=newest.release,
        flavours=tuple(flavours),
        source=newest.source,
        suite=newest.packages[0].suite,
        btf=bool(found.record["btf"]) if found else expected,
        cached=found is not None,
        bytes=cache.size(found.folder) if found else 0,
        lts=series.lts,
        notes=series.notes,
    )


def _print(rows: list[Row]) -> None:
    """Print the table; it fits into 80 columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("kernel", "newest", "suite", "flavours", "BTF", "cached"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("kernel", "newest", "BTF", "cached"))
    for row in rows:
        btf = {True: "yes", False: "no", None: "?"}[row.btf]
        size = f"{row.bytes / 1e6:.0f} MB" if row.cached else "-"
        flavours = " ".join(row.flavours)
        cells = (row.spec, upstream(row.version), row.suite, flavours, btf, size)
        table.add_row(*map(screen.text, cells))
    screen.Screen().print(table)


@kernels_group.command("fetch")
@click.argument("specs", nargs=-1, required=True)
@_update
def fetch_command(specs: tuple[str, ...], update: bool) -> None:
    """Download the kernels that SPECS name, unless they are in the cache already."""
    with shown() as progress:
        for resolved in kernels.resolve(specs, progress, update=update):
            kernel = resolved.fetch(progress)
            has = "BTF" if kernels.btf(kernel) else "no BTF"
            say.out(printable(f"{kernel.spec}: {kernel.release} ({kernel.source}, signed: {kernel.signed}, {has})"))
            for note in kernel.notes:
                say.talk(f"  {note}")


@kernels_group.command("build")
@click.argument("series", nargs=-1, required=True)
@click.option("-j", "--jobs", type=click.IntRange(1), metavar="N", help="Processors to use. [default: all]")
@_update
def build_command(series: tuple[str, ...], jobs: int | None, update: bool) -> None:
    """Build the twins of each SERIES (6.1, 6.12) that are not here: one source, with and without BTF.

    From then on 6.1-btf, 6.1-nobtf and 6.1-supplied are kernels like others. It says first how long it will take; what
    an interrupt leaves is gone on with.
    """
    archive = Archive(update=update)
    with shown() as progress:
        plans = [build.plan(one, archive, progress) for one in dict.fromkeys(map(_series_of, series))]
        for planned in plans:
            if planned.missing():
                progress.note(planned.cost(jobs or os.cpu_count() or 1))
        for planned in plans:
            for twin in build.build(planned, archive, progress, jobs=jobs or 0):
                took = f"{twin.seconds / 60:.0f} minutes of a processor"
                say.out(printable(f"{twin.series}-{twin.part}: {twin.release} ({twin.version}), {took}: {twin.folder}"))


def _series_of(text: str) -> str:
    """Return the series that a user means who names one of its twins."""
    return re.sub(rf"-({'|'.join(parts.PARTS)})$", "", text)


@kernels_group.command("lock")
@click.option("--kernels", "listed", default="", help="Kernels, separated by commas. [default: the project's]")
def lock_command(listed: str) -> None:
    """Write everykernel.lock: exactly which kernels these are, for every later run to take."""
    project = settings.read(Path.cwd())
    specs = choices.specs(listed or ",".join(project.get("kernels", ())))
    made = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    rows = []
    with shown() as progress:
        resolver = kernels.finder(progress, ignore_lock=True)
        for spec in specs:
            for resolved in resolver.resolve(kernels.parse(spec)):
                kernel = resolved.fetch(progress)
                stored = store.at(kernel)
                if stored is None:
                    raise UsageError("is on this machine alone: what others cannot fetch cannot be locked", where=spec)
                rows.append((spec, kernel, stored))
    lock.write(Path(lock.FILENAME), made, rows)
    say.out(f"{lock.FILENAME}: {len(rows)} kernels")


@kernels_group.command("path")
@click.argument("spec")
@click.option("--btf", is_flag=True, help="The file with its vmlinux BTF, instead of the image.")
@click.option("--modules", is_flag=True, help="The folder lib/modules/RELEASE, instead of the image.")
@click.option("--config", is_flag=True, help="The build configuration, instead of the image.")
def path_command(spec: str, btf: bool, modules: bool, config: bool) -> None:
    """Print where a kernel's image is, fetching it if need be."""
    with shown() as progress:
        for resolved in kernels.resolve(spec, progress):
            kernel = resolved.fetch(progress)
            path = kernel.modules if modules else kernel.config if config else kernel.image
            if btf:
                path = kernels.btf_path(kernel)
            if path is None:
                what = "modules" if modules else "configuration" if config else "BTF"
                raise HarnessError(f"has no {what}", where=kernel.spec, remedy="; ".join(kernel.notes))
            say.out(printable(str(path)))


@kernels_group.command("remove")
@click.argument("specs", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All kernels of the cache.")
@click.option("--superseded", is_flag=True, help="Those with a newer one of their series and flavour.")
def remove_command(specs: tuple[str, ...], everything: bool, superseded: bool) -> None:
    """Remove kernels from the cache: those that SPECS name (6.1 means all of 6.1), or all, or the superseded ones."""
    if not specs and not everything and not superseded:
        raise click.UsageError("name what to remove, or say --all or --superseded")
    here = store.stored()
    doomed = list(here) if everything else []
    for spec in kernels.parse(specs) if specs else []:
        if spec.btf:
            _remove_twins(spec)
            continue
        named = [one for one in here if spec.matches(one.kernel(""))]
        if not named:
            have = ", ".join(sorted({one.record["release"] for one in here})) or "none"
            raise UnknownKernel(
                "no such kernel is in the cache", spec=spec.text, where=spec.text, remedy=f"there are: {have}"
            )
        doomed += named
    if superseded:
        doomed += store.superseded(here)
    for one in {one.folder: one for one in doomed}.values():
        size = cache.size(one.folder) / 1e6
        if store.remove(one):
            say.out(printable(f"removed {one.record['release']} ({size:.0f} MB)"))
        else:
            say.talk(f"{one.record['release']} is in use, and stays")


def _remove_twins(spec: Spec) -> None:
    """Remove what was built under a name; raise UnknownKernel where nothing was."""
    built = kept.here()
    named = [
        one for one in built if (one.part, spec.value) in ((spec.btf, one.series), (spec.btf, upstream(one.version)))
    ]
    if not named:
        have = ", ".join(sorted({f"{one.series}-{one.part}" for one in built})) or "none"
        raise UnknownKernel(
            "is not built on this machine", spec=spec.text, where=spec.text, remedy=f"there are: {have}"
        )
    for one in named:
        name, size = f"{one.series}-{one.part} ({one.version})", cache.size(one.folder) / 1e6
        if kept.remove(one):
            say.out(printable(f"removed {name} ({size:.0f} MB)"))
        else:
            say.talk(f"{name} is in use, and stays")
