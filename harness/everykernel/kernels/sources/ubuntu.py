"""Ubuntu: its archive, in Debian's format, and what has left the index in the archive's pool."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from everykernel.architectures import Architecture
from everykernel.errors import DownloadError
from everykernel.kernels import candidates, catalogue
from everykernel.kernels.debian import Archive
from everykernel.kernels.download import NotThere, Unreachable
from everykernel.kernels.mirror import Mirror
from everykernel.kernels.packages import Layout, Offer, Package, fitting, series_in
from everykernel.kernels.progress import Progress
from everykernel.kernels.sources import listing
from everykernel.kernels.sources.debian import Debian
from everykernel.kernels.trust import Trust

SETTING = "EVERYKERNEL_UBUNTU_MIRROR"
_POOLS = ("pool/main/l/linux", "pool/main/l/linux-signed")
_DEB = re.compile(r"(?P<name>linux-[a-z-]+-\d[^_]*)_(?P<version>[^_]+)_(?P<arch>[a-z0-9]+)\.deb")


@dataclass(frozen=True)
class UbuntuMirror(Mirror):
    """Ubuntu's servers: one archive with all suites, one for security's, and one for the releases that have ended."""

    def bases(self, suite: str) -> tuple[str, str]:
        """Return the URLs to ask for a suite: the mirror's, then the archive server's."""
        return (self.security if suite.endswith("-security") else self.debian), self.archive


def archive(update: bool = False, environ: Mapping[str, str] = os.environ) -> Archive:
    """Return Ubuntu's archive as this machine sees it; the setting is the URL of a mirror that has all suites."""
    known = catalogue.load(distribution="ubuntu")
    mirror = listing.setting(environ, SETTING, known.mirror)
    security = known.security if mirror == known.mirror else mirror
    servers = UbuntuMirror(mirror, security, known.archive, "catalogue" if mirror == known.mirror else "setting")
    return Archive(catalogue=known, mirror=servers, trust=Trust.of_vendor("ubuntu"), update=update, prefix="ubuntu-")


class Ubuntu(Debian):
    """Ubuntu's archive as a source."""

    name = "ubuntu"
    layout = Layout()
    setting = SETTING
    quiet = (Unreachable,)

    def offer(self, wanted: str, arch: Architecture, progress: Progress, *, thorough: bool = False) -> Offer:
        """Return the kernels that the index has, or (where thorough) that only the pool has any more."""
        found = super().offer(wanted, arch, progress, thorough=thorough)
        row = self.archive.catalogue.series.get(series_in(wanted))
        if found.candidates or found.failures or not thorough or row is None or arch.name not in row.architectures:
            return found
        try:
            packages = [one for pool in _POOLS for one in self._pool(pool, arch)]
        except DownloadError as e:
            return Offer((), (listing.ours(e, SETTING),))
        grouped = candidates.group(packages, arch, self._flavours(arch), self.name)
        return Offer(fitting(grouped, wanted))

    def flavours(self, arch: Architecture) -> Sequence[str]:
        """Return the one that is not some cloud's."""
        return ("generic",)

    def _flavours(self, arch: Architecture) -> Sequence[str]:
        return ("generic", "lowlatency", "kvm", "aws", "azure", "gcp", "oracle", "ibm")

    def _pool(self, pool: str, arch: Architecture) -> list[Package]:
        """Return the packages that a folder of the pool has: no index vouches for them, so HTTPS has to."""
        base = self.archive.mirror.debian
        try:
            names = listing.names(self.archive.downloader.get(f"{base}/{pool}/"))
        except NotThere:
            return []
        found = [match for match in map(_DEB.fullmatch, names) if match and match["arch"] == arch.debian]
        signed = listing.vouched(base)
        return [
            Package(m["name"], m["version"], arch.debian, "pool", f"{pool}/{m[0]}", 0, "", signed=signed, base=base)
            for m in found
        ]
