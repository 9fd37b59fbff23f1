"""Debian's archive: signed indexes, packages by SHA-256, and what is inside a .deb."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from everykernel.kernels.progress import Progress


@dataclass(frozen=True)
class Entry:
    """One package of a suite's index.

    Attributes:
        name, version, arch: as Debian writes them (``arch`` is the index's, also for packages of arch ``all``).
        suite: the suite whose index lists it.
        filename: its path below the archive's root.
        size: bytes.
        sha256: hex.
        depends: its Depends field, "" if it has none.
        signed: how the index is vouched for: ``gpgv`` or ``https``.
    """

    name: str
    version: str
    arch: str
    suite: str
    filename: str
    size: int
    sha256: str
    depends: str = ""
    signed: str = ""


class Archive:
    """The Debian archive as seen from this machine, through its mirror and the cache."""

    def package(self, suite: str, name: str, arch: str, progress: Progress | None = None) -> Entry | None:
        """Return the newest ``name`` of a suite (``bookworm``, ``bookworm-security``), None if the suite has none.

        ``arch`` is Debian's name (``amd64``). Raises DownloadError where the index cannot be had.
        """
        raise NotImplementedError

    def fetch(self, entry: Entry, progress: Progress | None = None) -> Path:
        """Return the package's file in the cache, whole and verified; download it if it is not there."""
        raise NotImplementedError


def unpack(deb: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Yield each member of a package's data archive with its content (None unless it is a regular file).

    Read the content before asking for the next member. Names are relative (``usr/bin/python3.11``), and never lead
    outside of the folder that they are unpacked in (DownloadError).
    """
    raise NotImplementedError
