"""What a source offers: kernels, the packages that make each of them, and where in those their files are."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from everykernel import names
from everykernel.architectures import Architecture
from everykernel.errors import DownloadError
from everykernel.kernels.control import Version
from everykernel.kernels.formats.evr import Evr


@dataclass(frozen=True)
class Package:
    """One file that a source has: a package, or a layer of an image.

    Attributes:
        name, version, arch: as the distribution writes them (``arch`` is the index's, also for packages of all).
        suite: the part of the source that has it: a suite, a repository, a folder of builds.
        filename: its path below ``base``.
        size: bytes, 0 where nobody says.
        sha256: hex, "" where nobody says before it is here (`signed` is then by its own signature, https or none).
        depends: what it says that it needs, "" for nothing.
        signed: how it is vouched for: ``gpgv`` (by its index or by itself), ``https`` or ``none``.
        base: URL of what ``filename`` is below, "" where the source's mirrors say.
        key: fingerprint (hex) of the key that signed, "" if none did.

    Raises:
        DownloadError: a name, version or path that is none, from wherever it comes.
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
    base: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        where = f"index of {self.suite} for {self.arch}"
        names.checked(self.name, "a package", where=where, error=DownloadError)
        version = re.sub(r"^[0-9]+:", "", self.version)  # an epoch is in no path
        names.checked(version, "a version", where=where, error=DownloadError)
        for part in self.filename.split("/"):
            names.checked(part, "a part of a package's path", where=where, error=DownloadError)

    @property
    def url(self) -> str:
        """Where it is, "" where the source's mirrors say."""
        return f"{self.base}/{self.filename}" if self.base else ""


@dataclass(frozen=True)
class Candidate:
    """One kernel that a source offers.

    Attributes:
        arch: its row in the table of architectures.
        release: what ``uname -r`` prints there; "" where only its image will tell.
        series: ``6.1``; "" where only its image will tell.
        flavour: the distribution's (``cloud-amd64``), "" if it has none.
        packages: what holds its files, the one with the image first.
        source: the name of the source.
    """

    arch: Architecture
    release: str
    series: str
    flavour: str
    packages: tuple[Package, ...]
    source: str = "debian"

    @property
    def version(self) -> str:
        """The distribution's version of the package with the image (``6.1.192-1``)."""
        return self.packages[0].version

    @property
    def upstream(self) -> str:
        """The version as its upstream maintainers call it (``6.1.192``)."""
        return upstream(self.version)

    @property
    def order(self) -> Any:
        """The version as its distribution compares them; to be compared within one source."""
        foreign = self.packages[0].filename.endswith((".rpm", ".pkg.tar.zst", ".pkg.tar.xz"))
        return Evr(self.version) if foreign else parsed(self.version)

    @property
    def origin(self) -> str:
        """Source and suite, as records have them (``debian:bookworm-security``)."""
        return f"{self.source}:{self.packages[0].suite}"


@dataclass(frozen=True)
class Offer:
    """What a source answered.

    Attributes:
        candidates: the kernels that fit what was asked.
        failures: why parts of the source could not be asked: newer kernels may be there.
    """

    candidates: Sequence[Candidate] = ()
    failures: Sequence[DownloadError] = ()


@dataclass(frozen=True)
class Layout:
    """Which members of a source's packages are a kernel's files.

    Attributes:
        image, config: globs of their members, with ``{release}``; where no release is known it stands for any.
        modules: the folder whose subfolder ``{release}`` has the modules.
        tops: globs of folders that all of these may be in.
        layered: whether a later package deletes files of an earlier one, as layers of images do.
        no_modules, no_config: the note on a kernel whose packages have none, with ``{release}``.
    """

    image: tuple[str, ...] = ("boot/vmlinuz-{release}", "boot/vmlinux-{release}", "lib/modules/{release}/vmlinuz")
    config: tuple[str, ...] = ("boot/config-{release}", "lib/modules/{release}/config")
    modules: str = "lib/modules"
    tops: tuple[str, ...] = ("usr",)
    layered: bool = False
    no_modules: str = "no modules: none of its packages holds any"
    no_config: str = "no build configuration: none of its packages holds it"

    def place(self, member: str, release: str) -> str:
        """Return what a member is called in the cache (``vmlinuz``, ``lib/modules/6.1/…``), "" if it is not wanted."""
        found = next((found for top in self.tops if (found := _pattern(f"{top}/", "").match(member))), None)
        plain = member[found.end() :] if found else member
        for name, globs in (("vmlinuz", self.image), ("config", self.config)):
            if any(_pattern(glob, release).fullmatch(plain) for glob in globs):
                return name
        module = self._module(plain, release)
        return "" if module.endswith("/System.map") else module

    def elf(self, member: str) -> bool:
        """Tell whether a member is a kernel as an ELF file, which does not boot as it is."""
        return re.search(r"(^|/)vmlinux(-[^/]*)?$", member) is not None

    def _module(self, plain: str, release: str) -> str:
        rest = plain.removeprefix(f"{self.modules}/")
        own, _, below = rest.partition("/")
        return f"lib/modules/{rest}" if rest != plain and below and release in ("", own) else ""


@functools.cache
def _pattern(glob: str, release: str) -> re.Pattern[str]:
    text = re.escape(glob).replace(r"\*", "[^/]*").replace(r"\{release\}", re.escape(release) or "[^/]+")
    return re.compile(text)


@functools.cache
def parsed(version: str) -> Version:
    """Return a Debian version that can be compared."""
    return Version(version)


def upstream(version: str) -> str:
    """Return the upstream part of a distribution's version (``6.12.43-1~bpo12+1``: ``6.12.43``)."""
    return re.split(r"[-+~]", version.rpartition(":")[2], maxsplit=1)[0]


def series_in(text: str) -> str:
    """Return the series in a version or package name (``linux-image-6.1.0-56-cloud-amd64``: ``6.1``), "" if none is."""
    match = re.search(r"\d+\.\d+", text)
    return match[0] if match else ""


def fitting(candidates: Iterable[Candidate], wanted: str) -> list[Candidate]:
    """Return those that a series (``6.1``), a version (``6.1.192``) or a release means."""
    if re.fullmatch(r"\d+\.\d+", wanted):
        return [one for one in candidates if one.series == wanted]
    if re.fullmatch(r"\d+\.\d+\.\d+", wanted):
        return [one for one in candidates if one.upstream == wanted]
    return [one for one in candidates if one.release == wanted]
