"""Each source with a server laid out as its own: a kernel and an earlier one, packed by the distributions' own tools.

A kernel is made ready once for each source; what a server then has of it is a dictionary, which a test may spoil.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import zstandard

from everykernel.kernels import catalogue
from everykernel.kernels.catalogue import Series
from everykernel.kernels.debian import Archive
from everykernel.kernels.mirror import Mirror
from everykernel.kernels.sources.arch import Arch
from everykernel.kernels.sources.debian import Debian
from everykernel.kernels.sources.file import File
from everykernel.kernels.sources.mainline import Mainline
from everykernel.kernels.sources.oci import INSECURE, Oci
from everykernel.kernels.sources.protocol import Source
from everykernel.kernels.sources.rpm import Rpm
from everykernel.kernels.sources.ubuntu import Ubuntu, UbuntuMirror
from everykernel.kernels.trust import Trust

from . import published, vendors
from .archive import Server
from .published import Signer, run

FLAVOUR = "cloud-amd64"  # of Debian's kernel, which all of them repackage
POOL = "pool/main/l/linux"
TAG = "6.1-20261129.1"


@dataclass(frozen=True)
class Content:
    """A kernel to be repackaged.

    Attributes:
        release: what its packages say that it is.
        image: the bootable image.
        modules: those of its modules that a guest needs, not compressed, by their paths below ``lib/modules/RELEASE``.
    """

    release: str
    image: bytes
    modules: Mapping[str, bytes]

    @property
    def series(self) -> str:
        return ".".join(self.release.split(".")[:2])

    @property
    def version(self) -> str:
        """``6.1.0``, from a release like 6.1.0-56-cloud-amd64."""
        return self.release.partition("-")[0]

    def files(self, suffix: str = "", pack: Callable[[bytes], bytes] = bytes, *, usr: str = "usr/") -> dict[str, bytes]:
        """Return its files as Fedora, Arch and others have them, with modules compressed."""
        top = f"{usr}lib/modules/{self.release}"
        return {f"{top}/vmlinuz": self.image, **self.tree(suffix, pack, usr=usr)}

    def tree(self, suffix: str = "", pack: Callable[[bytes], bytes] = bytes, *, usr: str = "") -> dict[str, bytes]:
        """Return its modules as files of a package."""
        top = f"{usr}lib/modules/{self.release}"
        packed = {f"{top}/{n}{suffix}": pack(data) for n, data in self.modules.items() if n.endswith(".ko")}
        return packed | {f"{top}/{n}": data for n, data in self.modules.items() if not n.endswith(".ko")}

    def earlier(self) -> Content:
        """Return it as an earlier build, by its header and its packages."""
        return self._build(-1)

    def later(self) -> Content:
        """Return it as a later build."""
        return self._build(1)

    def _build(self, step: int) -> Content:
        number = self.release.split("-")[1]
        release = self.release.replace(f"-{number}-", f"-{int(number) + step}-")
        return Content(release, renamed(self.image, release), self.modules)


def renamed(image: bytes, release: str) -> bytes:
    """Return an image whose header names another release of the same length; the kernel in it is what it was."""
    at = int.from_bytes(image[0x20E:0x210], "little") + 0x200
    return image[:at] + release.encode() + image[at + len(release) :]


@dataclass(frozen=True)
class Stand:
    """One source and what its server has.

    Attributes:
        files: by path.
        spec: what means the newest kernel, with ``{url}`` and ``{host}`` for the server's.
        earlier: what means the one before, "" where nothing is ever superseded; `LOCKED` where only a lock can mean it.
        source: makes the source, from the server's URL.
        package: the path of the package with the image of the newest.
        indexes: paths of what lists the packages.
        signed: how the record says that it is vouched for.
        keyed: whether the record names who signed.
    """

    files: Mapping[str, bytes]
    spec: str
    earlier: str
    source: Callable[[str], Source]
    package: str
    indexes: tuple[str, ...]
    signed: str = "none"
    keyed: bool = False

    def named(self, spec: str, server: Server) -> str:
        return spec.format(url=server.url, host=server.url.partition("://")[2])


LOCKED = "locked"


def _path(found: Mapping[str, bytes], *parts: str) -> str:
    return next(path for path in found if all(part in path for part in parts) and not path.endswith((".sig", "/")))


def _series(content: Content, *suites: str) -> dict[str, Series]:
    return {content.series: Series(content.series, suites)}


def debian(folder: Path, content: Content, signer: Signer | None) -> Stand:
    """Debian's two archives; the kernel is in security's, the earlier one in its pool alone."""
    keys = signer or Signer.make(folder / "gpg", "other")
    pool = folder / "debian-security/pool/updates/main/l/linux"
    (folder / "debian/none").mkdir(parents=True)
    pool.mkdir(parents=True)
    for one, version in ((content.earlier(), f"{content.version}-1"), (content, f"{content.version}-2")):
        members = {f"boot/vmlinuz-{one.release}": one.image, f"boot/config-{one.release}": b"CONFIG_BPF=y\n"}
        name = f"linux-image-{one.release}"
        published.deb(pool, name, version, members | one.tree(), compression="zstd")
        published.index(pool.parents[4], {"bookworm-security": "pool/updates/main/l/linux"}, keys)
        if version.endswith("-1"):
            (pool / f"{name}_{version}_amd64.deb").rename(folder / "earlier.deb")
    published.index(folder / "debian", {"bookworm": "none"}, keys)
    (folder / "earlier.deb").rename(pool / f"linux-image-{content.earlier().release}_{content.version}-1_amd64.deb")
    found = published.files(folder / "debian-security", "/debian-security")
    found |= published.files(folder / "debian", "/debian")

    def source(url: str) -> Source:
        known = catalogue.load()
        known = replace(known, rolling={}, snapshot=f"{url}/snapshot/{{archive}}/{{time}}")
        known = replace(known, series=_series(content, "bookworm-security", "bookworm"))
        mirror = Mirror(f"{url}/debian", f"{url}/debian-security", f"{url}/archive", "setting")
        return Debian(Archive(catalogue=known, mirror=mirror, trust=_trust(folder, signer), update=True))

    package = _path(found, f"linux-image-{content.release}_")
    indexes = tuple(path for path in found if path.endswith("Packages.xz"))
    return Stand(found, f"debian:{content.series}", LOCKED, source, package, indexes, "gpgv", True)


def _trust(folder: Path, signer: Signer | None) -> Trust:
    keys = signer.public if signer is not None else published_key(folder)
    return Trust("gpgv", (keys,), "our copy of the keys", "update everykernel, if the key is new")


def published_key(folder: Path) -> Path:
    """Return a public key that signed nothing here: a vendor's real one."""
    return Path(__file__).parents[2] / "kernels/keys/ubuntu.asc"


class LikeMainline(Mainline):
    """Ubuntu's builds, with a kernel of another flavour."""

    def flavours(self, arch: object) -> tuple[str]:
        return (FLAVOUR,)


class LikeUbuntu(Ubuntu):
    """Ubuntu's archive, with a kernel of another flavour."""

    def flavours(self, arch: object) -> tuple[str]:
        return (FLAVOUR,)

    def _flavours(self, arch: object) -> tuple[str]:
        return (FLAVOUR,)


def ubuntu_debs(folder: Path, content: Content, version: str) -> None:
    """Build the two packages that Ubuntu makes of a kernel."""
    compress = zstandard.ZstdCompressor(level=1).compress
    unsigned = {f"boot/vmlinuz-{content.release}": content.image}
    rest = {f"boot/config-{content.release}": b"CONFIG_BPF=y\n"} | content.tree(".zst", compress)
    published.deb(folder, f"linux-image-unsigned-{content.release}", version, unsigned, compression="zstd")
    published.deb(folder, f"linux-modules-{content.release}", version, rest, compression="zstd")


def ubuntu(folder: Path, content: Content, signer: Signer | None) -> Stand:
    """Ubuntu's archive; the earlier kernel is in the pool alone."""
    top = folder / "ubuntu"
    (top / POOL).mkdir(parents=True)
    (top / "none").mkdir()
    ubuntu_debs(top / POOL, content, f"{content.version}-2.2")
    suites = {"noble-updates": POOL, "noble": "none", "noble-security": "none"}
    published.index(top, suites, signer or Signer.make(folder / "gpg", "other"))
    ubuntu_debs(top / POOL, content.earlier(), f"{content.version}-1.1")
    found = published.files(top, "/ubuntu")

    def source(url: str) -> Source:
        known = replace(catalogue.load(distribution="ubuntu"), snapshot=f"{url}/snapshot/{{time}}")
        known = replace(known, series=_series(content, "noble-updates", "noble-security", "noble"))
        mirror = UbuntuMirror(f"{url}/ubuntu", f"{url}/ubuntu", f"{url}/old-releases", "setting")
        archive = Archive(catalogue=known, mirror=mirror, trust=_trust(folder, signer), update=True, prefix="ubuntu-")
        return LikeUbuntu(archive)

    package = _path(found, f"unsigned-{content.release}_")
    indexes = tuple(path for path in found if path.endswith("Packages.xz"))
    spec = f"ubuntu:{content.series}"
    return Stand(found, spec, f"ubuntu:{content.earlier().release}", source, package, indexes, "gpgv", True)


def mainline(folder: Path, content: Content, signer: Signer | None) -> Stand:
    """Ubuntu's builds of upstream's kernels, with CHECKSUMS that nobody signed; the newest of three failed."""
    versions = {f"{content.series}.1": content.earlier(), f"{content.series}.2": content}
    for version, one in versions.items():
        place = folder / f"v{version}/amd64"
        place.mkdir(parents=True)
        ubuntu_debs(place, one, f"{version}-1")
        lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in place.iterdir()]
        (place / "CHECKSUMS").write_text("# Checksums-Sha256:\n" + "\n".join(lines) + "\n")
    (folder / f"v{content.series}.3").mkdir()
    found = published.files(folder, "/mainline")
    return Stand(
        found,
        f"mainline:{content.series}",
        f"mainline:{content.series}.1",
        lambda url: LikeMainline({"EVERYKERNEL_MAINLINE_MIRROR": f"{url}/mainline"}),
        _path(found, f"unsigned-{content.release}_"),
        (f"/mainline/v{content.series}.2/amd64/CHECKSUMS",),
    )


def _rpms(folder: Path, name: str, content: Content, signer: Signer | None, signed: str, spec: str) -> Stand:
    """A distribution of RPM packages: the newest in its repository, the earlier one in the vault."""
    compress = lambda data: lzma.compress(data, preset=0, check=lzma.CHECK_CRC32)  # noqa: E731
    key = signer or Signer.make(folder / "gpg", "other")
    for place, one in ((folder / "vault", content.earlier()), (folder / "9", content)):
        place.mkdir()
        files, own = one.files(".xz", compress), key if signed == "packages" else None
        vendors.rpm(place, name, one.version, one.release.split("-")[1], files, key=own)
        vendors.repository(place, key=key if signed == "index" else None)
        if signed == "packages":
            vendors.zstd(place)
    found = published.files(folder / "9", "/9") | published.files(folder / "vault", "/vault")
    keys = signer.public if signer is not None else published_key(folder)
    release: dict[str, object] = {
        "name": "9",
        "repositories": ["9"],
        "superseded": ["vault"],
        "image": [name],
        "signed": signed,
    }
    release |= {"keys": [keys.stem], "series": [content.series], "uname": f"{{version}}-{{release}}-{FLAVOUR}"}
    source, path = spec.partition(":")[0], _path(found, "/9/", f"{name}-")
    return Stand(
        found,
        spec,
        f"{source}:{content.earlier().release}",
        lambda url: Rpm(source, {"mirror": url, "release": [release]}, keys.parent, {}),
        path,
        tuple(one for one in found if "primary.xml" in one and one.startswith("/9/")),
        "gpgv",
        True,
    )


def rocky(folder: Path, content: Content, signer: Signer | None) -> Stand:
    """Packages that sign for themselves, listed by an index in zstd that nobody signs."""
    return _rpms(folder, "kernel-core", content, signer, "packages", "rocky:9")


def leap(folder: Path, content: Content, signer: Signer | None) -> Stand:
    """Packages that a signed index vouches for."""
    return _rpms(folder, "kernel-default", content, signer, "index", "leap:9")


def arch(folder: Path, content: Content, signer: Signer | None) -> Stand:
    """Arch's archive: a folder of packages with their signatures, as repo-add takes them."""
    place = folder / "packages/l/linux"
    place.mkdir(parents=True)
    compress = zstandard.ZstdCompressor(level=1).compress
    key = signer or Signer.make(folder / "gpg", "other")
    for one, number in ((content.earlier(), 1), (content, 2)):
        vendors.pacman(place, "linux", f"{one.version}.arch1-{number}", one.files(".zst", compress), key=key)
    vendors.repo_add(place, key)
    found = published.files(folder, "")
    for name in ("linux-lts", "linux-zen", "linux-hardened"):
        found[f"/packages/l/{name}/"] = b"<html></html>"
    keys = signer.public if signer is not None else published_key(folder)
    return Stand(
        found,
        "arch:linux",
        f"arch:{content.version}.arch1-1",
        lambda url: Arch(keys, {"EVERYKERNEL_ARCH_MIRROR": url}),
        _path(found, "arch1-2-x86_64.pkg.tar.zst"),
        ("/packages/l/linux/",),
        "gpgv",
        True,
    )


def oci(folder: Path, content: Content, signer: Signer | None) -> Stand:
    """An image that skopeo copied to docker-registry, whose answers are served; its tag named the earlier before."""
    found: dict[str, bytes] = {}
    digests = []
    for one in (content.earlier(), content):
        files = {"boot/vmlinuz": one.image} | one.tree(".gz", lambda data: gzip.compress(data, 1), usr="usr/")
        layout = vendors.image(folder / one.release, [files])
        manifest, blobs = pushed(folder, layout)
        digests.append(f"sha256:{hashlib.sha256(manifest).hexdigest()}")
        top = "/v2/team/kernels"
        found |= {f"{top}/manifests/{name}": manifest for name in (TAG, digests[-1])}
        found |= {f"{top}/blobs/{digest}": data for digest, data in blobs.items()}
    layer = max(blobs, key=lambda digest: len(blobs[digest]))
    return Stand(
        found,
        f"oci:{{host}}/team/kernels:{TAG}",
        f"oci:{{host}}/team/kernels@{digests[0]}",
        lambda url: Oci({INSECURE: url.partition("://")[2]}),
        f"{top}/blobs/{layer}",
        (f"{top}/manifests/{TAG}",),
    )


def pushed(folder: Path, layout: Path) -> tuple[bytes, dict[str, bytes]]:
    """Copy an image of a layout to docker-registry by skopeo; return the manifest and blobs that it then gives."""
    with Server() as free:
        address = free.url.partition("://")[2]
    config, policy = folder / "config.yml", folder / "policy.json"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
        f"http: {{addr: '{address}'}}\n"
    )
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    command = ["docker-registry", "serve", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://{address}/v2/")
        target = f"docker://{address}/team/kernels:{TAG}"
        run("skopeo", "--policy", policy, "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}:one", target)
        top = f"http://{address}/v2/team/kernels"
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        manifest = httpx.get(f"{top}/manifests/{TAG}", headers=accept).raise_for_status()
        layers = [row["digest"] for row in manifest.json()["layers"]]
        blobs = {digest: httpx.get(f"{top}/blobs/{digest}").raise_for_status().content for digest in layers}
        return manifest.content, blobs
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder / "registry", ignore_errors=True)


def _wait(url: str) -> None:
    for _ in range(200):
        try:
            httpx.get(url)
        except httpx.HTTPError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("docker-registry does not answer")


def url(folder: Path, content: Content, signer: Signer | None) -> Stand:
    """A package of one's own behind a URL."""
    members = {f"boot/vmlinuz-{content.release}": content.image} | content.tree()
    published.deb(folder, "linux-image-own", "1", members, compression="zstd")
    found = published.files(folder, "")
    return Stand(found, "{url}/linux-image-own_1_amd64.deb", "", lambda url: File(), "/linux-image-own_1_amd64.deb", ())


MAKERS: Mapping[str, Callable[[Path, Content, Signer | None], Stand]] = {
    "debian": debian,
    "ubuntu": ubuntu,
    "mainline": mainline,
    "rocky": rocky,
    "leap": leap,
    "arch": arch,
    "oci": oci,
    "url": url,
}
