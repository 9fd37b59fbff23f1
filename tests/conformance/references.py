"""The references: libbpf 1.8 and 1.7, where each is had from, and its library built for a machine.

Everything is pinned by SHA-256. 1.8 is tools/lib/bpf of a kernel's source package; 1.7 is Debian's own package, and,
where sid has moved on from it, what the crate libbpf-sys of that version carries (had by cargo, an ordinary client).
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from everykernel import cache
from everykernel.kernels import debian
from everykernel.kernels.download import NotThere
from everykernel.kernels.release import Stale
from everykernel.loaders import sources

_SOURCE = debian.Entry(
    name="linux-source-7.3",
    version="7.3.4-1~bpo13+1",
    arch="amd64",
    suite="trixie-backports",
    filename="pool/main/l/linux/linux-source-7.3_7.3.4-1~bpo13+1_all.deb",
    size=166780612,
    sha256="703e369ddd4cce971452f5a593ee55df3a5c10c83caf0fa0df039633ed181ee3",
)
_DEV = {
    "amd64": debian.Entry(
        name="libbpf-dev",
        version="1:1.7.0-1",
        arch="amd64",
        suite="sid",
        filename="pool/main/libb/libbpf/libbpf-dev_1.7.0-1_amd64.deb",
        size=270780,
        sha256="af4fb0faa65925707de8607aa580d466c9326b99e5f484f080bda2032979fd13",
    ),
    "s390x": debian.Entry(
        name="libbpf-dev",
        version="1:1.7.0-1",
        arch="s390x",
        suite="sid",
        filename="pool/main/libb/libbpf/libbpf-dev_1.7.0-1_s390x.deb",
        size=272912,
        sha256="0609b1e6f3beda525688f099a7d5675d7a8bbbaea6b08a03a02bc110190605a1",
    ),
}

# What libbpf is built from, of a kernel's tree: itself and the headers that it shares with the other tools.
_PARTS = ("tools/lib/bpf/", "tools/include/", "tools/arch/")
_FLAGS = ("-O2", "-std=gnu89", "-w", "-D_LARGEFILE64_SOURCE", "-D_FILE_OFFSET_BITS=64")  # of its own Makefile


@dataclass(frozen=True)
class Machine:
    """Where a program with libbpf runs: Debian's name for it, clang's flags and what runs its programs here."""

    arch: str = "amd64"
    flags: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()


NATIVE = Machine()


@dataclass(frozen=True)
class Library:
    """libbpf, built: the files to link, and the folders with its headers."""

    files: tuple[Path, ...]
    includes: tuple[Path, ...]


@dataclass(frozen=True)
class Reference:
    """One version of libbpf.

    Attributes:
        version: ``1.8``.
        knows: the newest series of kernels that it was made for: (7, 3).
        library: builds it in a folder, for a machine.
    """

    version: str
    knows: tuple[int, int]
    library: Callable[[debian.Archive, Path, Machine], Library]

    def knows_series(self, series: str) -> bool:
        """Whether it was made for kernels of a series (``6.12``): it is compared on no newer one."""
        major, minor = series.split(".")[:2]
        return (int(major), int(minor)) <= self.knows

    def __str__(self) -> str:
        return f"libbpf {self.version}"


def unpack(archive: debian.Archive, entry: debian.Entry, folder: Path) -> None:
    """Unpack the files of a package in ``folder``."""
    for member, content in debian.unpack(archive.fetch(entry)):
        if content is not None:
            path = folder / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())
            path.chmod(member.mode)


# -------------------------------------------------------------------------------------------------- had from where


def _of_kernel(archive: debian.Archive, folder: Path, machine: Machine) -> Library:
    """Return libbpf of the kernel's tree."""
    tree = _tools(archive)
    includes = (tree / "tools/include", tree / "tools/include/uapi")
    return _built(tree / "tools/lib/bpf", includes, machine, tree.name)


def _tools(archive: debian.Archive) -> Path:
    """Return the folder of the cache that holds what libbpf is built from.

    It is the pinned package's; where the archive has moved on, that of the newest of the same series, for which the
    signed index vouches.
    """
    try:
        return _unpacked(archive, _SOURCE)
    except NotThere:
        return _unpacked(archive, archive.newest((_SOURCE.suite,), _SOURCE.name, _SOURCE.arch))


def _unpacked(archive: debian.Archive, entry: debian.Entry) -> Path:
    """Return the parts of a source package that libbpf needs, in a folder of the cache: made if it is not there."""
    path = cache.folder("packages") / f"{entry.sha256[:12]}-{entry.name}-libbpf"
    with cache.lock(f"packages/{path.name}"):
        if not path.is_dir():
            package = archive.fetch(entry)
            with cache.make_folder(path) as made:
                for member, content in debian.unpack(package):
                    if content is not None and member.name.endswith(".tar.xz"):
                        with lzma.open(content) as plain, tarfile.open(fileobj=plain, mode="r|") as tree:
                            _extract(tree, _PARTS, made)
    cache.touch(path)
    return path


def _of_package(archive: debian.Archive, folder: Path, machine: Machine) -> Library:
    """Return Debian's libbpf 1.7, or the crate's: for other machines, or where the archive has it no longer."""
    entry = _DEV.get(machine.arch)
    if entry is None:
        return _of_crate(folder, machine)
    try:
        unpack(archive, entry, folder)
    except (NotThere, Stale):
        return _of_crate(folder, machine)
    return Library((next(folder.rglob("libbpf.a")),), (folder / "usr/include",))


def _of_crate(folder: Path, machine: Machine) -> Library:
    """Return libbpf 1.7 as the crate carries it."""
    own = folder / "crate"
    sources.of_crate(own)
    return _built(own / "src", (own / "include", own / "include/uapi"), machine, sources.CRATE_SHA256)


def _extract(tree: tarfile.TarFile, parts: Iterable[str], folder: Path) -> None:
    """Write the files of some parts of a tree, below its one top folder."""
    for member in tree:
        name = member.name.partition("/")[2]
        content = tree.extractfile(member) if member.isreg() and name.startswith(tuple(parts)) else None
        if content is not None and ".." not in Path(name).parts:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


def _built(sources: Path, includes: Sequence[Path], machine: Machine, pinned: str) -> Library:
    """Return libbpf built from its sources, in a folder of the cache: by what is ``pinned``, and machine.

    Its headers are put where programs look for them, in ``bpf/``.
    """
    flags = [*machine.flags, *_FLAGS, *(f"-I{path}" for path in (sources, *includes))]
    digest = hashlib.sha256("\0".join([pinned, machine.arch, *_FLAGS]).encode()).hexdigest()
    path = cache.folder("packages") / f"{digest[:12]}-libbpf-{machine.arch}"
    with cache.lock(f"packages/{path.name}"):
        if not path.is_dir():
            with cache.make_folder(path) as made:
                _build(sources, flags, made)
    cache.touch(path)
    return Library(tuple(sorted(path.glob("objects/*.o"))), (path / "include", includes[-1]))


def _build(sources: Path, flags: Sequence[str], folder: Path) -> None:
    """Compile the sources in ``folder``/objects, and put the headers in ``folder``/include/bpf."""
    objects, headers = folder / "objects", folder / "include" / "bpf"
    objects.mkdir()
    headers.mkdir(parents=True)
    for header in sources.glob("*.h"):
        shutil.copy(header, headers)

    def one(source: Path) -> None:
        out = objects / source.with_suffix(".o").name
        subprocess.run(["clang-19", *flags, "-c", str(source), "-o", str(out)], check=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, sorted(sources.glob("*.c"))))


NEWEST = Reference("1.8", (7, 3), _of_kernel)  # whose rules are ours
REFERENCES = (NEWEST, Reference("1.7", (6, 18), _of_package))
