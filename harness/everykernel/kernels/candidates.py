"""Which kernels a suite's index offers: its kernel packages, put together by release.

Debian has had three layouts. Up to 6.18 ``linux-image-R`` holds all; 6.19 to 7.1 have a ``linux-binary-R`` with the
image alone, since the packages with modules and configuration are not in the signed index; from 7.2 on there are
``linux-binary-R``, ``linux-modules-R`` and ``linux-base-R`` (``linux-image-R`` only depends on them).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from everykernel.architectures import Architecture
from everykernel.kernels.control import Version
from everykernel.kernels.index import Entry

_NAME = re.compile(r"linux-(image|binary|modules|base)-(\d.*)")
_ABI = re.compile(r"(\d+\.\d+)\.\d.*")  # 6.1.0-56, 6.12.117+deb13: what a package that only depends (6.1) is not


@dataclass(frozen=True)
class Candidate:
    """One kernel that an index offers.

    Attributes:
        arch: its row in the table of architectures.
        release: what ``uname -r`` prints there.
        series: ``6.1``.
        flavour: Debian's (``cloud-amd64``).
        packages: what holds its files, the one with the image first.
    """

    arch: Architecture
    release: str
    series: str
    flavour: str
    packages: tuple[Entry, ...]

    @property
    def version(self) -> str:
        """Debian's version of the package with the image (``6.1.192-1``)."""
        return self.packages[0].version

    @property
    def upstream(self) -> str:
        """The version as its upstream maintainers call it (``6.1.192``)."""
        return upstream(self.version)

    @property
    def order(self) -> Version:
        """The version as Debian compares them."""
        return parsed(self.version)


@functools.cache
def parsed(version: str) -> Version:
    """Return a Debian version that can be compared."""
    return Version(version)


def upstream(version: str) -> str:
    """Return the upstream part of a Debian version (``6.12.43-1~bpo12+1``: ``6.12.43``)."""
    return re.split(r"[-+~]", version.rpartition(":")[2], maxsplit=1)[0]


def group(entries: Iterable[Entry], arch: Architecture, flavours: Sequence[str]) -> list[Candidate]:
    """Return the kernels of the given flavours among an index's packages.

    Where an index lists several versions of a package, the newest counts.
    """
    parts: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        match = _NAME.fullmatch(entry.name)
        if match:
            kind, release = match.groups()
            known = parts.setdefault(release, {}).get(kind)
            if known is None or parsed(known.version) < parsed(entry.version):
                parts[release][kind] = entry
    found = []
    for release, packages in parts.items():
        flavour = next((f for f in sorted(flavours, key=len, reverse=True) if release.endswith(f"-{f}")), None)
        abi = _ABI.fullmatch(release.removesuffix(f"-{flavour}")) if flavour else None
        chosen = _chosen(packages)
        if flavour and abi and chosen:
            found.append(Candidate(arch, release, abi[1], flavour, chosen))
    return found


def _chosen(packages: dict[str, Entry]) -> tuple[Entry, ...]:
    """Return the packages that hold a kernel's files, the one with the image first; () if none holds the image."""
    binary = packages.get("binary")
    if binary is None:
        image = packages.get("image")
        return (image,) if image is not None and "linux-binary-" not in image.depends else ()
    rest = [packages[kind] for kind in ("modules", "base") if kind in packages]
    return (binary, *(entry for entry in rest if entry.version == binary.version))
