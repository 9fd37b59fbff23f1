"""The catalogue: which series there are and where to find them, read from kernels/catalogue.toml."""

from __future__ import annotations

import datetime
import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from everykernel import folders
from everykernel.errors import HarnessError


@dataclass(frozen=True)
class Series:
    """One series of kernels.

    Attributes:
        name: ``6.1``.
        suites: Debian's suites that have it; the newest version in any of them wins.
        more: suites that are asked only for an exact version that none of ``suites`` has.
        architectures: our names of those that it is to be had for.
        btf: those of them whose kernels have BTF.
        lts: whether its upstream maintainers keep it alive for years.
        notes: what to know about it.
    """

    name: str
    suites: tuple[str, ...]
    more: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ("x86_64",)
    btf: tuple[str, ...] = ()
    lts: bool = False
    notes: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[int, ...]:
        """The series as numbers, for sorting."""
        return order(self.name)


@dataclass(frozen=True)
class Catalogue:
    """All of kernels/catalogue.toml.

    Attributes:
        mirror, security, archive: URLs of Debian's servers; ``archive`` holds both ``debian`` and ``debian-security``.
        codenames: of Debian's releases, to recognise a host's own mirror.
        frozen: suites that Debian has ended, and the day of their last index.
        rolling: by architecture, suites in which further series may appear.
        flavours: by architecture, our short names for Debian's flavours.
        series: by name, oldest first.
        snapshot: URL of the service that has an ``{archive}`` as it was at a ``{time}``, "" if there is none.
    """

    mirror: str
    security: str
    archive: str
    codenames: tuple[str, ...]
    rolling: Mapping[str, Sequence[str]]
    flavours: Mapping[str, Mapping[str, str]]
    series: Mapping[str, Series]
    frozen: Mapping[str, datetime.date] = field(default_factory=dict)
    snapshot: str = ""


def order(series: str) -> tuple[int, ...]:
    """Return a series or version (``6.12``, ``6.12.7``) as numbers, for sorting."""
    return tuple(int(part) for part in series.split("."))


@functools.cache
def load(path: Path | None = None, distribution: str = "debian") -> Catalogue:
    """Return the catalogue of an archive in Debian's format; raise HarnessError if it is not what it should be."""
    path = path or folders.data("kernels") / "catalogue.toml"
    try:
        raw = tomllib.loads(path.read_text())
        servers = raw[distribution]
        top = raw if distribution == "debian" else servers
        rows = [_series(row) for row in top["series"]]
        return Catalogue(
            mirror=servers["mirror"],
            security=servers["security"],
            archive=servers["archive"],
            codenames=tuple(servers["codenames"]),
            rolling=servers.get("rolling", {}),
            flavours=top.get("flavours", {}),
            frozen=servers.get("frozen", {}),
            snapshot=servers.get("snapshot", ""),
            series={row.name: row for row in sorted(rows, key=lambda row: row.order)},
        )
    except (OSError, KeyError, TypeError, ValueError) as e:
        remedy = "install everykernel again"
        raise HarnessError(f"the catalogue of kernels cannot be read: {e!r}", where=str(path), remedy=remedy) from e


def servers(name: str) -> Mapping[str, Any]:
    """Return the catalogue's table of a source that is no archive in Debian's format."""
    found: Mapping[str, Any] = tomllib.loads((folders.data("kernels") / "catalogue.toml").read_text())[name]
    return found


def _series(row: Mapping[str, Any]) -> Series:
    return Series(
        name=row["name"],
        suites=tuple(row["suites"]),
        more=tuple(row.get("more", ())),
        architectures=tuple(row["architectures"]),
        btf=tuple(row.get("btf", ())),
        lts=bool(row.get("lts", False)),
        notes=tuple(row.get("notes", ())),
    )
