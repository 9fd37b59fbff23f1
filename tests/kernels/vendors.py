"""What vendors make, by their own tools: signed RPM packages and repositories, pacman's packages, images in layouts."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tarfile
import tempfile
import types
from collections.abc import Mapping, Sequence
from pathlib import Path

import zstandard

from .published import Signer, run

NOTHING: Mapping[str, str] = types.MappingProxyType({})
_SPEC = """\
Name: {name}
Version: {version}
Release: {release}
Summary: a test
License: GPLv2
AutoReqProv: no
%global __os_install_post %{{nil}}
%description
a test
%install
cp -a {tree}/. %{{buildroot}}/
%files
{files}
"""


def detach(key: Signer, file: Path, suffix: str, *form: str) -> None:
    """Write a detached signature of a file beside it."""
    target = file.with_name(f"{file.name}{suffix}")
    run("gpg", "--homedir", key.home, "--batch", "--yes", *form, "--output", target, "--detach-sign", file)


def lay(folder: Path, files: Mapping[str, bytes | Path]) -> Path:
    """Write files below a folder; those that are paths already are copied."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, path)
        else:
            path.write_bytes(content)
    return folder


def rpm(
    folder: Path,
    name: str,
    version: str,
    release: str,
    files: Mapping[str, bytes | Path],
    *,
    key: Signer | None = None,
    payload: str = "w1.zstdio",
    arch: str = "x86_64",
    ghosts: Sequence[str] = (),
    links: Mapping[str, str] = NOTHING,
) -> Path:
    """Return a package in ``folder``, made by rpmbuild from these files and signed by rpmsign.

    Further names of some of the files (hard links) are in ``links``.
    """
    with tempfile.TemporaryDirectory(prefix="everykernel-rpm-") as top:
        tree = lay(Path(top, "tree"), files)
        lay(tree, dict.fromkeys(ghosts, b""))
        for link, target in links.items():
            (tree / link).parent.mkdir(parents=True, exist_ok=True)
            (tree / link).hardlink_to(tree / target)
        rows = [f'"/{name}"' for name in (*files, *links)] + [f'%ghost "/{name}"' for name in ghosts]
        spec = Path(top, "test.spec")
        spec.write_text(_SPEC.format(name=name, version=version, release=release, tree=tree, files="\n".join(rows)))
        defines = [f"_topdir {top}", f"_binary_payload {payload}", f"_rpmdir {folder}", "_build_id_links none"]
        defines += ["_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm", "_buildhost example"]
        flags = [word for define in defines for word in ("--define", define)]
        run("rpmbuild", "-bb", "--quiet", "--target", arch, *flags, spec)
    path = folder / f"{name}-{version}-{release}.{arch}.rpm"
    if key is not None:
        defines = [f"_gpg_path {key.home}", f"_gpg_name {key.fingerprint}", "__gpg /usr/bin/gpg"]
        run("rpmsign", *(word for define in defines for word in ("--define", define)), "--addsign", path)
    return path


def repository(folder: Path, *, key: Signer | None = None, compression: str = "gz") -> Path:
    """Make a folder of RPM packages a repository, by createrepo_c, its repomd.xml signed; return ``folder``."""
    run("createrepo_c", "--quiet", "--update", "--no-database", f"--general-compress-type={compression}", folder)
    repomd = folder / "repodata" / "repomd.xml"
    if key is not None:
        detach(key, repomd, ".asc", "--armor")
    return folder


def zstd(folder: Path) -> Path:
    """Compress a repository's primary index as createrepo_c does since 1.0 (Debian 12 has one that cannot)."""
    repomd = folder / "repodata/repomd.xml"
    (old,) = (folder / "repodata").glob("*-primary.xml.gz")
    data = zstandard.ZstdCompressor().compress(gzip.decompress(old.read_bytes()))
    digest = hashlib.sha256(data).hexdigest()
    old.with_name(f"{digest}-primary.xml.zst").write_bytes(data)
    head, mark, rest = repomd.read_text().partition('<data type="primary">')
    before = (old.name, str(old.stat().st_size), hashlib.sha256(old.read_bytes()).hexdigest())
    own, end, tail = rest.partition("</data>")
    own = own.replace(before[0], f"{digest}-primary.xml.zst").replace(f'"sha256">{before[2]}', f'"sha256">{digest}', 1)
    own = own.replace(f"<size>{before[1]}<", f"<size>{len(data)}<")
    repomd.write_text(head + mark + own + end + tail)
    old.unlink()
    return folder


def pacman(
    folder: Path, name: str, version: str, files: Mapping[str, bytes | Path], *, key: Signer | None = None
) -> Path:
    """Return a package as makepkg packs them (bsdtar and zstd), with its signature beside it."""
    path = folder / f"{name}-{version}-x86_64.pkg.tar.zst"
    with tempfile.TemporaryDirectory(prefix="everykernel-pacman-") as top:
        info = f"pkgname = {name}\npkgver = {version}\narch = x86_64\n".encode()
        tree = lay(Path(top, "tree"), {".PKGINFO": info, **files})
        names = sorted(path.name for path in tree.iterdir())
        run("bsdtar", "--zstd", "--no-fflags", "-cf", path, *names, folder=tree)
    if key is not None:
        detach(key, path, ".sig")
    return path


def repo_add(folder: Path, key: Signer) -> None:
    """List a folder's packages in a database, by pacman's own tool, which takes no package that is not sound."""
    packages = sorted(folder.glob("*.pkg.tar.zst"))
    database = folder / "core.db.tar.gz"
    # repo-add signs by the user's own keyring, and takes no home of gpg's
    run("repo-add", "--quiet", "--prevent-downgrade", database, *packages)
    detach(key, database, ".sig")


def image(
    folder: Path,
    layers: Sequence[Mapping[str, bytes | Path]],
    *,
    arch: str = "amd64",
    name: str = "one",
    links: Mapping[str, str] = NOTHING,
) -> Path:
    """Return an OCI layout with an image of these layers, made by skopeo from a Docker archive of plain tar files.

    Further names of some of the lowest layer's files (hard links) are in ``links``.
    """
    with tempfile.TemporaryDirectory(prefix="everykernel-image-") as top:
        tars, digests = [], []
        for number, files in enumerate(layers):
            tree = lay(Path(top, f"tree{number}"), files)
            for link, target in links.items() if not number else ():
                (tree / link).hardlink_to(tree / target)
            path = Path(top, f"{number}.tar")
            with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
                tar.add(tree, ".")
            tars.append(path.name)
            digests.append(f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
        config = {"architecture": arch, "os": "linux", "rootfs": {"type": "layers", "diff_ids": digests}}
        Path(top, "config.json").write_text(json.dumps(config))
        manifest = [{"Config": "config.json", "RepoTags": [f"{name}:latest"], "Layers": tars}]
        Path(top, "manifest.json").write_text(json.dumps(manifest))
        archive = Path(top, "image.tar")
        with tarfile.open(archive, "w") as tar:
            for each in ("manifest.json", "config.json", *tars):
                tar.add(Path(top, each), each)
        policy = Path(top, "policy.json")
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        target = f"oci:{folder}:{name}"
        run("skopeo", "--policy", policy, "copy", "--quiet", f"docker-archive:{archive}", target)
    return folder
