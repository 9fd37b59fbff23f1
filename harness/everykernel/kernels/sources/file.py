"""A kernel in a package of the user's own: a file, or a URL."""

from __future__ import annotations

import hashlib
import posixpath
import re
import shutil
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from everykernel import cache
from everykernel.architectures import Architecture
from everykernel.errors import DownloadError, UnknownKernel, UsageError
from everykernel.kernels import deb
from everykernel.kernels.catalogue import Series
from everykernel.kernels.download import Downloader, matches
from everykernel.kernels.formats import oci, pacman, rpm
from everykernel.kernels.packages import Candidate, Layout, Offer, Package
from everykernel.kernels.progress import Progress
from everykernel.kernels.sources import listing
from everykernel.kernels.sources.protocol import Members

_REMEDY = "look at the URL, the network and the proxy settings"
READERS: Mapping[str, Callable[..., Members]] = {
    ".deb": deb.unpack,
    ".rpm": rpm.unpack,
    ".pkg.tar.zst": pacman.unpack,
    ".pkg.tar.xz": pacman.unpack,
    ".tar": oci.unpack,
    ".tar.gz": oci.unpack,
    ".tar.zst": oci.unpack,
}  # by how a package's name ends


class File:
    """Packages by path or URL as a source (`protocol.Source`): what is in them, only their image tells."""

    name = "file"
    layout = Layout()

    def __init__(self) -> None:
        self._downloader = Downloader()

    def series(self, arch: Architecture, progress: Progress) -> Mapping[str, Series]:
        """Return none: a file is named, or not meant."""
        return {}

    def offer(self, wanted: str, arch: Architecture, progress: Progress, *, thorough: bool = False) -> Offer:
        """Return the one kernel; a URL is downloaded to know its digest."""
        base, _, filename = wanted.rpartition("/")
        url = re.match(r"https?://", wanted)
        _reader(filename)
        try:
            path = self._here(wanted, filename, progress) if url else Path(wanted)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except DownloadError as e:
            e.remedy = _REMEDY
            return Offer((), (e,))
        except OSError as e:
            raise UnknownKernel(e.strerror or str(e), spec=wanted, where=wanted, remedy="look at the path") from e
        stem = re.sub(r"[^A-Za-z0-9.+~-]+", "-", filename).strip("-.+~")
        signed = listing.vouched(wanted) if url else "none"
        base = base if url else Path(wanted).absolute().parent.as_uri()
        quoted = filename if url else urllib.parse.quote(filename)
        package = Package(stem, digest[:12], arch.debian, "url" if url else "path", quoted, 0, digest, "", signed, base)
        return Offer((Candidate(arch, "", "", "", (package,), self.name),))

    def _here(self, url: str, filename: str, progress: Progress) -> Path:
        """Return the file of a URL, downloaded anew: what it names may be another build today."""
        return self._downloader.unlisted(url, _place(url), description=filename, progress=progress)

    def flavours(self, arch: Architecture) -> Sequence[str]:
        """Return none: there is one kernel."""
        return ()

    def flavour(self, arch: Architecture, name: str) -> str:
        """Return the name itself."""
        return name

    def fetch(self, package: Package, progress: Progress) -> Path:
        """Return a copy in the cache, which is still what was offered."""
        target = cache.entry("packages", f"{package.sha256[:12]}-{posixpath.basename(package.filename)}")
        if not package.base.startswith("file:"):
            offered = _place(package.url)
            if matches(offered, package.sha256, offered.stat().st_size if offered.exists() else 0):
                return offered.replace(target)
            try:
                return self._downloader.unlisted(package.url, target, sha256=package.sha256, progress=progress)
            except DownloadError as e:
                e.remedy = _REMEDY
                raise
        source = Path(urllib.parse.unquote(urllib.parse.urlsplit(package.url).path))
        with cache.explained(target):
            shutil.copyfile(source, target)
            with target.open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == package.sha256
        if not same:
            target.unlink()
            raise DownloadError("is not the file that it was", where=str(source), remedy="run the same again")
        return target

    def signer(self, package: Package) -> str:
        """Return the key that signed the index, "" if none did."""
        return package.key

    def snapshot(self, package: Package, time: str) -> str:
        """Return none."""
        return ""

    def unpack(self, path: Path, *, largest: int) -> Members:
        """Yield the members of a package, by the reader for its name."""
        return _reader(path.name)(path, largest=largest)


def _place(url: str) -> Path:
    """Return where the file of a URL is while it is offered."""
    return cache.entry("packages", f"url-{hashlib.sha256(url.encode()).hexdigest()[:12]}")


def _reader(filename: str) -> Callable[..., Members]:
    for suffix, reader in READERS.items():
        if filename.endswith(suffix):
            return reader
    known = ", ".join(READERS)
    raise UsageError("is no package that we can read", where=filename, remedy=f"its name has to end in {known}")
