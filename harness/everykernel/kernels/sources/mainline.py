"""Ubuntu's builds of upstream's kernels: folders ``vX.Y.Z/ARCH`` with packages and their CHECKSUMS (kernel.ubuntu.com).

Many builds fail: the newest version of a series may have no packages for an architecture, and then one before it has.
CHECKSUMS is signed (CHECKSUMS.gpg) by a key that neither Debian nor Ubuntu has in a package, and of which we bring no
copy: HTTPS vouches for it, or the signature where the user has the key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from everykernel.architectures import Architecture
from everykernel.errors import DownloadError, UsageError
from everykernel.kernels import candidates, catalogue, deb, signature
from everykernel.kernels.catalogue import Series, order
from everykernel.kernels.download import Downloader, NotThere
from everykernel.kernels.packages import Candidate, Layout, Offer, Package, series_in
from everykernel.kernels.progress import Progress
from everykernel.kernels.sources import listing
from everykernel.kernels.sources.protocol import Members

SETTING = "EVERYKERNEL_MAINLINE_MIRROR"
KEY = "EVERYKERNEL_MAINLINE_KEY"  # a file with the public key, armoured or not
_BACK = 10  # versions of a series that are looked at for one that was built
_FLAVOURS = ("generic", "lowlatency")
_SUM = re.compile(r"([0-9a-f]{64}) [ *](linux-[a-z-]+-\d[^_/]*)_([^_/]+)_([a-z0-9]+)\.deb")


class Mainline:
    """The builds as a source (`protocol.Source`)."""

    name = "mainline"
    layout = Layout()

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        servers = catalogue.servers("mainline")
        self._mirror = listing.setting(environ, SETTING, servers["mirror"])
        self._key = _key(environ)
        self._named, self._lts = servers["series"], servers["lts"]
        self._downloader = Downloader()
        self._versions: Sequence[str] | DownloadError | None = None

    def series(self, arch: Architecture, progress: Progress) -> Mapping[str, Series]:
        """Return the series that the catalogue wants from here, without asking."""
        rows = (Series(name, (), architectures=("x86_64",), lts=name in self._lts) for name in self._named)
        return {row.name: row for row in rows if arch.name in row.architectures}

    def offer(self, wanted: str, arch: Architecture, progress: Progress, *, thorough: bool = False) -> Offer:
        """Return the newest build of a series, or that of a version."""
        try:
            versions = [one for one in self._all() if wanted in (one, series_in(one))]
            for version in sorted(versions, key=order, reverse=True)[:_BACK]:
                if found := self._built(version, arch):
                    return Offer(found)
        except DownloadError as e:
            return Offer((), (listing.ours(e, SETTING),))
        return Offer()

    def flavours(self, arch: Architecture) -> Sequence[str]:
        """Return the one that every version has."""
        return ("generic",)

    def flavour(self, arch: Architecture, name: str) -> str:
        """Return the name itself."""
        return name

    def fetch(self, package: Package, progress: Progress) -> Path:
        """Return the package's file, by the SHA-256 of CHECKSUMS."""
        try:
            return listing.fetch(self._downloader, package, progress)
        except DownloadError as e:
            listing.ours(e, SETTING)
            raise

    def signer(self, package: Package) -> str:
        """Return the key that signed the index, "" if none did."""
        return package.key

    def snapshot(self, package: Package, time: str) -> str:
        """Return none."""
        return ""

    def unpack(self, path: Path, *, largest: int) -> Members:
        """Yield the members of a .deb."""
        return deb.unpack(path, largest=largest)

    def _all(self) -> Sequence[str]:
        """Return all versions that there are, asked for once, whatever comes of it."""
        if self._versions is None:
            try:
                names = listing.names(self._downloader.get(f"{self._mirror}/"))
                self._versions = [name[1:] for name in names if re.fullmatch(r"v\d+\.\d+(\.\d+)?", name)]
            except DownloadError as e:
                self._versions = e
        if isinstance(self._versions, DownloadError):
            raise self._versions
        return self._versions

    def _built(self, version: str, arch: Architecture) -> list[Candidate]:
        """Return the kernels of one version for an architecture, none where its build failed."""
        base = f"{self._mirror}/v{version}/{arch.debian}"
        try:
            data = self._downloader.get(f"{base}/CHECKSUMS")
        except NotThere:
            return []
        signer = self._signer(data, f"{base}/CHECKSUMS")
        packages = [
            Package(
                name=match[2],
                version=match[3],
                arch=arch.debian,
                suite=f"v{version}",
                filename=match[0].split()[1].removeprefix("*"),
                size=0,
                sha256=match[1],
                signed="gpgv" if signer else listing.vouched(base),
                base=base,
                key=signer,
            )
            for match in map(_SUM.fullmatch, data.decode("ascii", "replace").splitlines())
            if match and match[4] == arch.debian
        ]
        return candidates.group(packages, arch, _FLAVOURS, self.name)

    def _signer(self, data: bytes, url: str) -> str:
        """Return the fingerprint of the key that signed CHECKSUMS, "" where we have no key to check it by."""
        if self._key is None:
            return ""
        try:
            made = self._downloader.get(f"{url}.gpg")
        except NotThere as e:
            raise DownloadError("is not signed: there is no CHECKSUMS.gpg", where=url) from e
        return signature.check(data, made, [self._key], url)


def _key(environ: Mapping[str, str]) -> Path | None:
    """Return the file with the key that the environment names, None for none; raise UsageError if it is not there."""
    text = environ.get(KEY, "").strip()
    if text and not Path(text).is_file():
        raise UsageError(f"{text!r} is no file", where=KEY, remedy="give the file with the public key")
    return Path(text) if text else None
