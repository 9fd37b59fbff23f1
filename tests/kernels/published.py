"""Archives as distributions publish them, made by their own tools from a kernel of this machine, repackaged."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .archive import Server


def run(*argv: str | Path, folder: Path | None = None) -> bytes:
    """Return what a tool printed; raise CalledProcessError if it failed."""
    return subprocess.run([str(one) for one in argv], cwd=folder, check=True, capture_output=True).stdout


@dataclass(frozen=True)
class Signer:
    """A key of the test's own: gpg's home, its public half (armoured), and its fingerprint."""

    home: Path
    public: Path
    fingerprint: str = ""

    @classmethod
    def make(cls, home: Path, name: str) -> Signer:
        home.mkdir(mode=0o700, parents=True)
        atexit.register(run, "gpgconf", "--homedir", home, "--kill", "all")  # gpg starts an agent, which would stay
        gpg = ["gpg", "--homedir", str(home), "--batch", "--passphrase", ""]
        run(*gpg, "--quick-generate-key", f"{name} <{name}@example.org>", "ed25519", "sign", "never")
        public = home / f"{name}.asc"
        public.write_bytes(run(*gpg, "--armor", "--export"))
        listed = run(*gpg, "--list-keys", "--with-colons").decode().splitlines()
        return cls(home, public, next(line.split(":")[9] for line in listed if line.startswith("fpr:")))

    def detach(self, path: Path, target: Path) -> None:
        run("gpg", "--homedir", self.home, "--batch", "--yes", "--detach-sign", "-o", target, path)

    def clearsign(self, path: Path, target: Path) -> None:
        run("gpg", "--homedir", self.home, "--batch", "--yes", "--clearsign", "-o", target, path)


def deb(folder: Path, name: str, version: str, members: dict[str, bytes], *, compression: str = "xz") -> Path:
    """Build a package with dpkg-deb."""
    tree = folder / f"{name}.tree"
    for path, content in members.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(content)
    (tree / "DEBIAN").mkdir(parents=True)
    text = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: a <a@example.org>\nDescription: x\n"
    (tree / "DEBIAN/control").write_text(text)
    target = folder / f"{name}_{version}_amd64.deb"
    run("dpkg-deb", "--root-owner-group", f"-Z{compression}", "-z1", "--build", tree, target)
    shutil.rmtree(tree)
    return target


def ubuntu_debs(folder: Path, release: str, version: str, image: bytes) -> list[Path]:
    """Build the two packages that Ubuntu makes of a kernel."""
    unsigned = {f"boot/vmlinuz-{release}": image}
    modules = {f"boot/config-{release}": b"CONFIG_BPF=y\n", f"lib/modules/{release}/kernel/a.ko.zst": b"a module"}
    return [
        deb(folder, f"linux-image-unsigned-{release}", version, unsigned),
        deb(folder, f"linux-modules-{release}", version, modules, compression="zstd"),
    ]


def index(top: Path, suites: dict[str, str], signer: Signer) -> None:
    """Write the indexes of an archive in ``top`` by apt-ftparchive, signed; suites with their folders of packages."""
    for suite, pool in suites.items():
        binary = top / f"dists/{suite}/main/binary-amd64"
        binary.mkdir(parents=True, exist_ok=True)
        (binary / "Packages").write_bytes(run("apt-ftparchive", "packages", pool, folder=top))
        run("xz", "-kf", binary / "Packages")
        option = f"APT::FTPArchive::Release::Codename={suite}"
        (top / "Release").write_bytes(run("apt-ftparchive", "-o", option, "release", f"dists/{suite}", folder=top))
        signer.clearsign(top / "Release", top / f"dists/{suite}/InRelease")


def publish(server: Server, top: Path, url: str, suites: dict[str, str], signer: Signer) -> None:
    """Write the indexes of an archive, and serve all of it below ``url``; arguments as of `index`."""
    index(top, suites, signer)
    serve(server, top, url)


def serve(server: Server, top: Path, url: str) -> None:
    """Serve a folder's files, with a listing for each folder, as Apache has them."""
    server.files |= files(top, url)


def files(top: Path, url: str) -> dict[str, bytes]:
    """Return what a server has of a folder: its files, and a listing for each folder in it."""
    found = {}
    for folder in [top, *(path for path in top.rglob("*") if path.is_dir())]:
        rows = "".join(f'<a href="{one.name}{"/" * one.is_dir()}">x</a>\n' for one in sorted(folder.iterdir()))
        below = folder.relative_to(top).as_posix()
        found[f"{url}/" if below == "." else f"{url}/{below}/"] = f'<a href="?C=N">x</a>{rows}'.encode()
    for path in top.rglob("*"):
        if path.is_file():
            found[f"{url}/{path.relative_to(top).as_posix()}"] = path.read_bytes()
    return found


def mainline(top: Path, version: str, release: str, package: str, image: bytes, signer: Signer | None = None) -> None:
    """Write the folder of one of Ubuntu's builds of upstream's kernels, with its signature."""
    folder = top / f"v{version}/amd64"
    folder.mkdir(parents=True)
    debs = ubuntu_debs(folder, release, package, image)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in debs]
    (folder / "CHECKSUMS").write_text("# Checksums-Sha256:\n" + "\n".join(lines) + "\n")
    if signer is not None:
        signer.detach(folder / "CHECKSUMS", folder / "CHECKSUMS.gpg")
