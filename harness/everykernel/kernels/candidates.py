"""Which kernels a suite's index offers: its kernel packages, put together by release.

Debian has had three layouts. Up to 6.18 ``linux-image-R`` holds all; 6.19 to 7.1 have a ``linux-binary-R`` with the
image alone, since the packages with modules and configuration are not in the signed index; from 7.2 on there are
``linux-binary-R``, ``linux-modules-R`` and ``linux-base-R`` (``linux-image-R`` only depends on them). Ubuntu has
``linux-image-R`` and the same image unsigned, ``linux-image-unsigned-R``; all else is in ``linux-modules-R``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from everykernel.architectures import Architecture
from everykernel.kernels.packages import Candidate, Package, parsed

_NAME = re.compile(r"linux-(image|image-unsigned|binary|modules|base)-(\d.*)")
_ABI = re.compile(r"(\d+\.\d+)\.\d.*")  # 6.1.0-56, 6.12.117+deb13: what a package that only depends (6.1) is not


def group(
    entries: Iterable[Package], arch: Architecture, flavours: Sequence[str], source: str = "debian"
) -> list[Candidate]:
    """Return the kernels of the given flavours among an index's packages.

    Where an index lists several versions of a package, the newest counts.
    """
    parts: dict[str, dict[str, Package]] = {}
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
            found.append(Candidate(arch, release, abi[1], flavour, chosen, source))
    return found


def _chosen(packages: dict[str, Package]) -> tuple[Package, ...]:
    """Return the packages that hold a kernel's files, the one with the image first; () if none holds the image."""
    binary = packages.get("binary")
    if binary is None:
        image = packages.get("image-unsigned", packages.get("image"))
        if image is None or "linux-binary-" in image.depends:
            return ()
        return (image, *(packages[kind] for kind in ("modules",) if kind in packages))
    rest = [packages[kind] for kind in ("modules", "base") if kind in packages]
    return (binary, *(entry for entry in rest if entry.version == binary.version))
