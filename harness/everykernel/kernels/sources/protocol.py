"""What every source answers. A new source is a class with these members, and a line in table.py."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from everykernel.architectures import Architecture
from everykernel.kernels.catalogue import Series
from everykernel.kernels.packages import Layout, Offer, Package
from everykernel.kernels.progress import Progress

Members = Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]


class Source(Protocol):
    """Somewhere that kernels come from. Safe to use from several threads; asks the network only when it is asked.

    Attributes:
        name: what stands before the colon of a spec (``debian:6.1``) and of a record's source.
        layout: which members of its packages are what.
    """

    name: str
    layout: Layout

    def series(self, arch: Architecture, progress: Progress) -> Mapping[str, Series]:
        """Return the series that ranges, ``lts`` and ``latest`` take from here; one that cannot be asked has none."""

    def offer(self, wanted: str, arch: Architecture, progress: Progress, *, thorough: bool = False) -> Offer:
        """Return the kernels that fit.

        Args:
            wanted: a series (``6.1``), a version (``6.1.192``), a release, or what else may follow this source's name
                in a spec (a distribution's release, a reference, a path).
            arch: the guest's.
            progress: where downloads and what is passed over are told.
            thorough: look also where superseded kernels are (the pool, a snapshot service).

        Raises nothing for what cannot be had: it is among the offer's failures. UsageError for a ``wanted`` that this
        source cannot read.
        """

    def flavours(self, arch: Architecture) -> Sequence[str]:
        """Return the flavours to take where a spec names none, the first that there is; () takes any."""

    def flavour(self, arch: Architecture, name: str) -> str:
        """Return what this source calls a flavour that a spec names (``generic``: ``amd64``)."""

    def fetch(self, package: Package, progress: Progress) -> Path:
        """Return a package's file, whole and verified; the caller deletes it once it is unpacked.

        Raises:
            DownloadError: it cannot be had whole, or is not what was promised.
            CacheError: the cache cannot be written.
        """

    def signer(self, package: Package) -> str:
        """Return the fingerprint (hex) of the key that vouched for a package that was fetched, "" if none did."""

    def unpack(self, path: Path, *, largest: int) -> Members:
        """Yield each member of a package, in the file's order, with its content (None unless it is a regular file)."""

    def snapshot(self, package: Package, time: str) -> str:
        """Return the URL below which a package's archive is as it was then (``20261129T060000Z``), "" if nowhere."""
