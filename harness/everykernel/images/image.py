"""The guest image: an initramfs of Debian packages, our init and the stage-0 agent, built without privileges.

One image an architecture serves every kernel; what a kernel needs of its own is in the cpio of `images.modules`, which
goes behind it. Archives are not compressed: unpacking costs a slow guest more than reading.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from everykernel import cache, folders
from everykernel.architectures import Architecture
from everykernel.images import bytecode, cpio, recipe
from everykernel.kernels import debian
from everykernel.kernels.progress import SILENT, Progress

LARGEST = 512 << 20  # bytes that a package of the image unpacks to: the largest has some 30 MB
FORMAT = 3  # of what this module writes: raise it when the same inputs give other bytes


@dataclass(frozen=True)
class Image:
    """A guest image in the cache.

    Attributes:
        path: the cpio archive.
        digest: its SHA-256 (hex).
        packages: ``name version`` of each package in it.
    """

    path: Path
    digest: str
    packages: tuple[str, ...]


def build(
    arch: Architecture,
    progress: Progress | None = None,
    *,
    update: bool = False,
    rules: recipe.Recipe | None = None,
) -> Image:
    """Return the guest image of an architecture, building it if it is not in the cache.

    An image stays in use, offline too, until its recipe changes; ``update`` asks the archive for newer packages,
    ``rules`` are another recipe than the usual.

    Raises:
        DownloadError: a package cannot be had.
        CacheError: the cache cannot be written.
    """
    progress = progress if progress is not None else SILENT
    rules = rules or recipe.read(arch.name)
    entry = place(arch, rules)
    cache.hold(entry)
    if not update and (found := _cached(entry)):
        return found
    with cache.lock(f"images/{entry.name}"):
        if not update and (found := _cached(entry)):
            return found
        _make(entry, rules, arch, progress)
    found = _cached(entry)
    assert found is not None
    return found


def place(arch: Architecture, rules: recipe.Recipe | None = None) -> Path:
    """Return where the guest image of an architecture is in the cache, or will be."""
    return cache.entry("images", f"{arch.name}-{_key(rules or recipe.read(arch.name), arch)}")


def _key(rules: recipe.Recipe, arch: Architecture) -> str:
    """Return a hash of all that decides the image but the packages' versions."""
    python = bytecode.version() if rules.python == bytecode.version() else ""
    sources = [repr((FORMAT, rules, arch.debian, python)).encode(), *(data for _, data in sorted(_own_files().items()))]
    return hashlib.sha256(b"\0".join(hashlib.sha256(s).digest() for s in sources)).hexdigest()[:16]


def _own_files() -> dict[str, bytes]:
    return {
        "init": (folders.data("images") / "init").read_bytes(),
        "everykernel/stage0.py": (folders.package() / "guest" / "stage0.py").read_bytes(),
    }


def _cached(entry: Path) -> Image | None:
    try:
        about = json.loads((entry / "about.json").read_text())
        path = entry / "image.cpio"
        if path.stat().st_size != about["size"]:
            return None
        cache.touch(entry)
        return Image(path, about["sha256"], tuple(about["packages"]))
    except (OSError, ValueError, KeyError):
        return None


def _make(entry: Path, rules: recipe.Recipe, arch: Architecture, progress: Progress) -> None:
    progress.note(f"building the guest image for {arch.name}")
    archive = debian.Archive()
    chosen = [_newest(archive, rules.suite, name, arch, progress) for name in rules.packages]
    members = list(_fixed(rules))
    for package in chosen:
        members += _kept(archive.fetch(package, progress), rules)
    data = cpio.archive(members)
    about = {
        "packages": [f"{package.name} {package.version}" for package in chosen],
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
    }
    with cache.make_folder(entry) as temporary:
        (temporary / "image.cpio").write_bytes(data)
        (temporary / "about.json").write_text(json.dumps(about, indent=1))


def _newest(archive: debian.Archive, suite: str, name: str, arch: Architecture, progress: Progress) -> debian.Entry:
    return archive.newest((suite, f"{suite}-security"), name, arch.debian, progress)


def _fixed(rules: recipe.Recipe) -> Iterator[cpio.Member]:
    for path, data in _own_files().items():
        yield cpio.file(path, data, executable=True)
        if path.endswith(".py") and rules.python == bytecode.version():
            yield cpio.file(bytecode.beside(path), bytecode.compiled(f"/{path}", data))
    yield from (cpio.folder(path) for path in rules.folders)
    yield from (cpio.file(path, text.encode()) for path, text in rules.files)
    yield from (cpio.link(path, target) for path, target in rules.links)
    yield cpio.character_device("dev/console", 5, 1)


def _kept(deb: Path, rules: recipe.Recipe) -> Iterator[cpio.Member]:
    for info, content in debian.unpack(deb, largest=LARGEST):
        path = info.name.removeprefix("./").strip("/")
        if not rules.keeps(path):
            continue
        if info.issym():
            yield cpio.link(path, info.linkname)
        elif info.isreg() and content is not None:
            data = content.read()
            yield cpio.file(path, data, executable=bool(info.mode & stat.S_IXUSR))
            if (beside := bytecode.place(path)) is not None:
                yield cpio.file(beside, bytecode.compiled(f"/{path}", data))
