"""Distributions of RPM packages: their repositories' indexes, by the rows of kernels/catalogue.toml.

A spec names a release (``rocky:9``), of which the newest kernel is meant, or a kernel of any of them by its series,
version or release (``rocky:5.14.0-503.11.1.el9_5.x86_64``). The key that signs is that of the release, and signs the
repository's index where the distribution does so, else each package.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from everykernel import cache, folders
from everykernel.architectures import Architecture
from everykernel.errors import DownloadError
from everykernel.kernels import catalogue, signature
from everykernel.kernels.bounded import Stream
from everykernel.kernels.download import Downloader, Mismatch, NotThere
from everykernel.kernels.formats import repodata, rpm
from everykernel.kernels.formats.repodata import Listed
from everykernel.kernels.packages import Candidate, Layout, Offer, Package, fitting, series_in
from everykernel.kernels.progress import Progress
from everykernel.kernels.release import Stale
from everykernel.kernels.sources import listing
from everykernel.kernels.sources.named import Named
from everykernel.kernels.sources.protocol import Members

_CLOCKS = 86400.0  # seconds by which a distribution's clock may be ahead of ours
_MIRROR_LIST = "mirror.list"  # the name of a file with a repository's URL (Amazon's)
_Row = Mapping[str, Any]


class Rpm(Named):
    """One distribution as a source (`protocol.Source`).

    Args:
        name: of its table in the catalogue.
        table: that table; None reads it.
        keys: the folder with its public keys.
    """

    layout = Layout()

    def __init__(
        self,
        name: str,
        table: _Row | None = None,
        keys: Path | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.name = name
        self._table = table or catalogue.servers("rpm")[name]
        self._keys = keys or folders.data("kernels") / "keys"
        self._setting = f"EVERYKERNEL_{name.upper()}_MIRROR"
        self._mirror = listing.setting(environ, self._setting, self._table["mirror"])
        self._checks = signature.available()
        self._downloader = Downloader(https_only=not self._checks)
        self._signers: dict[str, str] = {}  # by SHA-256

    def offer(self, wanted: str, arch: Architecture, progress: Progress, *, thorough: bool = False) -> Offer:
        """Return the newest kernels of a release, or what fits of all releases."""
        rows: Sequence[_Row] = self._table["release"]
        named = [row for row in rows if row["name"] == wanted]
        found: list[Candidate] = []
        failures: list[DownloadError] = []
        fits = named or [row for row in rows if series_in(wanted) in row.get("series", [series_in(wanted)])]
        for row in fits:
            for path in row["repositories"]:
                try:
                    found += self._candidates(row, path, arch, progress)
                except DownloadError as e:
                    failures.append(listing.ours(e, self._setting))
        ours = found if named else fitting(found, wanted)
        if named or ours or (failures and "-" not in wanted):
            return Offer(ours, failures)  # of a series, what is superseded is no answer to a server that is away
        return self._superseded(fits, wanted, arch, progress, failures)

    def _superseded(
        self,
        rows: Sequence[_Row],
        wanted: str,
        arch: Architecture,
        progress: Progress,
        failures: Sequence[DownloadError],
    ) -> Offer:
        """Return what only the folders of superseded releases have, of the first that has it."""
        further = list(failures)
        for row, path in [(each, path) for each in rows for path in each.get("superseded", ())]:
            try:
                if found := fitting(self._candidates(row, path, arch, progress), wanted):
                    return Offer(found, failures)
            except NotThere:
                continue  # a folder whose release is not superseded yet, or not kept any more
            except DownloadError as e:
                further.append(listing.ours(e, self._setting))
        return Offer((), further)

    def fetch(self, package: Package, progress: Progress) -> Path:
        """Return a package's file, by the index's SHA-256, and by its own signature where the index has none."""
        path = cache.entry("packages", f"{package.sha256[:12]}-{package.name}.rpm")
        row = next((row for row in self._table["release"] if row["name"] == package.suite), None)
        try:
            self._downloader.file(
                package.url,
                path,
                sha256=package.sha256,
                size=package.size,
                description=package.name,
                progress=progress,
            )
            if row is not None and row["signed"] == "packages" and self._checks:
                self._signers[package.sha256] = self._check(path, self._keys_of(row))
        except DownloadError as e:
            listing.ours(e, self._setting)
            raise
        return path

    def signer(self, package: Package) -> str:
        """Return the key of the package's own signature, else of the index's."""
        return self._signers.get(package.sha256, package.key)

    def unpack(self, path: Path, *, largest: int) -> Members:
        """Yield the members of an .rpm."""
        return rpm.unpack(path, largest=largest)

    def _candidates(self, row: _Row, path: str, arch: Architecture, progress: Progress) -> list[Candidate]:
        """Return the kernels of one repository."""
        base = self._base(path.format(arch=arch.uname))
        url = f"{base}/repodata/repomd.xml"
        data = self._downloader.get(url)
        key = ""
        if row["signed"] == "index" and self._checks:
            key = signature.check(data, self._downloader.get(f"{url}.asc"), self._keys_of(row), url)
        index = repodata.repomd(data, url)
        if key:
            self._check_not_before(row, path, index.time, url)
        listed = self._listed(base, index, row, progress)
        return list(
            _kernels(self.name, row, listed, arch, base, "gpgv" if self._checks else listing.vouched(base), key)
        )

    def _check_not_before(self, row: _Row, path: str, written: int, url: str) -> None:
        """Raise Stale for a signed index that is older than the one that was had before: good once, and replayed.

        Of an index that nobody signs the time would be anybody's word, and is not remembered.
        """
        kept = cache.entry("indexes", f"rpm-{self.name}-{row['name']}-{hashlib.sha256(path.encode()).hexdigest()[:12]}")
        try:
            before = int(kept.read_text())
        except (OSError, ValueError):
            before = 0
        if written < before:
            then, now = (f"{datetime.datetime.fromtimestamp(at, datetime.UTC):%F %H:%M}" for at in (before, written))
            text = f"is of {now}, older than the one of {then} that was had before"
            raise Stale(text, where=url, remedy=f"the mirror is out of date: set {self._setting} to another")
        if before < written <= time.time() + _CLOCKS:
            cache.write(kept, str(written).encode())

    def _base(self, path: str) -> str:
        """Return a repository's URL; the newest of a file of mirrors is the first."""
        url = path if "://" in path else f"{self._mirror}/{path}"
        if not url.endswith(f"/{_MIRROR_LIST}"):
            return url.rstrip("/")
        lines = self._downloader.get(url).decode("ascii", "replace").split()
        if not lines or not lines[0].startswith(("https://", "http://")):
            raise DownloadError("names no repository", where=url)
        return lines[0].rstrip("/")

    def _listed(self, base: str, index: repodata.Index, row: _Row, progress: Progress) -> list[Listed]:
        """Return a repository's kernel packages, kept in the cache by the SHA-256 of the index that lists them."""
        wanted = [*row["image"], *row.get("rest", ())]
        kept = cache.entry("indexes", f"rpm-{index.sha256[:24]}-{'-'.join(wanted)[:60]}.json")
        try:
            return [Listed(**fields) for fields in json.loads(kept.read_bytes())]
        except (OSError, ValueError, TypeError):
            pass  # not there, or of another version of ours: made anew
        url = f"{base}/{index.href}"
        path = cache.entry("indexes", f"rpm-{index.sha256[:24]}")
        try:
            what = f"index of {self.name}:{row['name']}"
            self._downloader.file(url, path, sha256=index.sha256, size=index.size, description=what, progress=progress)
        except (NotThere, Mismatch) as e:
            raise DownloadError(f"the mirror is out of step with its own index: {e.message}", where=e.where) from e
        kind = {"gz": "gz", "xz": "xz", "zst": "zst", "bz2": "bz2"}.get(index.href.rpartition(".")[2])
        with path.open("rb") as file:
            stream = Stream(file.read, kind, repodata.LARGEST) if kind else file
            found = repodata.primary(io.BufferedReader(stream, 1 << 20), wanted, url)
        cache.write(kept, json.dumps([asdict(one) for one in found]).encode())
        path.unlink()
        return found

    def _keys_of(self, row: _Row) -> list[Path]:
        return [self._keys / f"{name}.asc" for name in row["keys"]]

    def _check(self, path: Path, keys: Sequence[Path]) -> str:
        """Return who made the first good one of a package's own signatures; delete a package that has none."""
        try:
            package = rpm.read(path)
            return signature.any_of(package.header, package.signatures, keys, package.name)
        except DownloadError:
            path.unlink(missing_ok=True)
            raise


def _kernels(
    source: str, row: _Row, listed: Sequence[Listed], arch: Architecture, base: str, signed: str, key: str
) -> Iterator[Candidate]:
    """Yield the kernels among the packages of a repository: those with an image, and what else is of its version."""
    ours = [one for one in listed if one.arch == arch.uname]
    for first in ours:
        if first.name not in row["image"]:
            continue
        rest = [one for one in ours if one.name in row.get("rest", ()) and one.evr == first.evr]
        packages = tuple(
            Package(
                name=one.name,
                version=f"{one.version}-{one.release}",
                arch=one.arch,
                suite=row["name"],
                filename=one.href,
                size=one.size,
                sha256=one.sha256,
                signed=signed,
                base=base,
                key=key,
            )
            for one in (first, *sorted(rest, key=lambda one: row["rest"].index(one.name)))
        )
        # Where a release is not made of these, as in openSUSE, only the image tells it.
        release = row.get("uname", "{version}-{release}.{arch}").format(**asdict(first))
        yield Candidate(arch, release, series_in(first.version), "", packages, source)


def names() -> list[str]:
    """Return the distributions that the catalogue has."""
    return list(catalogue.servers("rpm"))
