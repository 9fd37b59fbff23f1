"""Arch Linux: its archive's folders, one for each package, with every version that there was and its signature."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from everykernel import cache
from everykernel.architectures import Architecture
from everykernel.errors import DownloadError
from everykernel.kernels import catalogue, signature
from everykernel.kernels.download import Downloader
from everykernel.kernels.formats import pacman
from everykernel.kernels.packages import Candidate, Layout, Offer, Package, series_in
from everykernel.kernels.progress import Progress
from everykernel.kernels.sources import listing
from everykernel.kernels.sources.named import Named
from everykernel.kernels.sources.protocol import Members

SETTING = "EVERYKERNEL_ARCH_MIRROR"
# The host's package archlinux-keyring, in Debian's place and in Arch's own: it is under the GPL, so we bring no copy.
_KEYRINGS = (Path("/usr/share/keyrings/archlinux.gpg"), Path("/usr/share/pacman/keyrings/archlinux.gpg"))
_FILE = r"(?P<name>{name})-(?P<version>\d[^-/]*-\d[^-/]*)-{arch}\.pkg\.tar\.(?:zst|xz)"


class Arch(Named):
    """The archive as a source (`protocol.Source`).

    A spec names a package (``arch:linux-lts``), of which the newest is meant, or a series or version of any of them.
    """

    name = "arch"
    layout = Layout(
        no_config="no build configuration: Arch's packages hold none (the kernel has it in /proc/config.gz)"
    )

    def __init__(self, keys: Path | None = None, environ: Mapping[str, str] = os.environ) -> None:
        table = catalogue.servers("arch")
        self._mirror = listing.setting(environ, SETTING, table["mirror"])
        self._packages = table["packages"]
        self._keys = [path for path in ([keys] if keys else _KEYRINGS) if path.is_file()]
        self._checks = signature.available() and bool(self._keys)
        self._downloader = Downloader(https_only=not self._checks)
        self._signers: dict[str, str] = {}  # by URL

    def offer(self, wanted: str, arch: Architecture, progress: Progress, *, thorough: bool = False) -> Offer:
        """Return all versions of a package, or those of all packages that fit."""
        named = wanted in self._packages
        found: list[Candidate] = []
        failures: list[DownloadError] = []
        for name in [wanted] if named else self._packages:
            try:
                found += self._listed(name, arch)
            except DownloadError as e:
                failures.append(listing.ours(e, SETTING))
        fits = [one for one in found if named or wanted in (one.series, one.upstream, one.version)]
        return Offer(fits, failures)

    def fetch(self, package: Package, progress: Progress) -> Path:
        """Return the package's file, checked by the signature beside it: no index has its digest."""
        name = package.filename.rpartition("/")[2]
        path = cache.entry("packages", f"arch-{name}")
        try:
            signed = self._downloader.get(f"{package.url}.sig") if self._checks else b""
            self._downloader.unlisted(
                package.url, path, sha256=package.sha256, description=package.name, progress=progress
            )
            if self._checks:
                self._signers[package.url] = signature.check(path, signed, self._keys, name)
        except DownloadError as e:
            path.unlink(missing_ok=True)
            listing.ours(e, SETTING)
            raise
        return path

    def signer(self, package: Package) -> str:
        """Return the key of the signature beside the package."""
        return self._signers.get(package.url, package.key)

    def unpack(self, path: Path, *, largest: int) -> Members:
        """Yield the members of a .pkg.tar.zst."""
        return pacman.unpack(path, largest=largest)

    def _listed(self, name: str, arch: Architecture) -> list[Candidate]:
        """Return the kernels that a package's folder has."""
        base = f"{self._mirror}/packages/{name[0]}/{name}"
        pattern = re.compile(_FILE.format(name=re.escape(name), arch=re.escape(arch.uname)))
        signed = "gpgv" if self._checks else listing.vouched(base)
        found = []
        for match in map(pattern.fullmatch, listing.names(self._downloader.get(f"{base}/"))):
            if match:
                version = match["version"]
                package = Package(name, version, arch.uname, name, match[0], 0, "", signed=signed, base=base)
                found.append(Candidate(arch, "", series_in(version), "", (package,), self.name))
        return found
