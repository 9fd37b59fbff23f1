"""What sources have in common that are asked by their names only: their numbers say little of what is in a kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from everykernel.architectures import Architecture
from everykernel.kernels.catalogue import Series
from everykernel.kernels.packages import Package
from everykernel.kernels.progress import Progress


class Named:
    """The answers of such a source to what is asked of all (`protocol.Source`)."""

    def series(self, arch: Architecture, progress: Progress) -> Mapping[str, Series]:
        """Return none: ranges, ``lts`` and ``latest`` take nothing from here."""
        return {}

    def flavours(self, arch: Architecture) -> Sequence[str]:
        """Return none: there is one kernel."""
        return ()

    def flavour(self, arch: Architecture, name: str) -> str:
        """Return the name itself."""
        return name

    def signer(self, package: Package) -> str:
        """Return the key that signed the index, "" if none did."""
        return package.key

    def snapshot(self, package: Package, time: str) -> str:
        """Return none."""
        return ""
