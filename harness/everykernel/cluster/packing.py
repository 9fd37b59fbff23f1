"""What a run sends: jobs, and where the bytes behind their digests are on this machine."""

from __future__ import annotations

import hashlib
import json
import tarfile
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import zstandard

from everykernel import cache, images
from everykernel.architectures import Architecture
from everykernel.cluster import blobs
from everykernel.cluster.job import Job, SentCommand, SentFile, SentSupply, Settings, supplied
from everykernel.errors import EverykernelError
from everykernel.kernels.model import Kernel
from everykernel.kernels.progress import Progress
from everykernel.kernels.supplied import Supplied, Supply
from everykernel.machine.snapshots import digest as digest_of_file
from everykernel.matrix.case import Case

_BESIDE = ("vmlinux.btf", "kernel.json")  # of a kernel in the cache
_LEVEL = 1  # of zstd: a kernel's modules shrink to a third in a second
_Read = Callable[[int, int], bytes]


@dataclass
class Packer:
    """Makes jobs of cells, and gives the bytes of what they name.

    Args:
        session: names the run.
        settings: hold for all its cells.
        supplies: BTF of the command line.
    """

    session: str
    settings: Settings
    supplies: Sequence[Supply] = ()
    _sources: dict[str, tuple[int, _Read]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def pack(self, kernel: Kernel, progress: Progress) -> tuple[str, str]:
        """Return the digests of a kernel's files and of its guest image, packed once and kept in the cache.

        Raises DownloadError or CacheError where they cannot be had.
        """
        return self._folder(_kernel(kernel)), self._folder(_image(kernel.arch, progress))

    def job(self, kernel: Kernel, package: str, packs: tuple[str, str], case: Case) -> Job:
        """Return a cell as it travels.

        Raises UsageError and others for a file of the case that is not there.
        """
        supplies, own = self._supplies(case, kernel)
        return Job(
            session=self.session,
            kernel=kernel,
            package=package,
            pack=packs[0],
            image=packs[1],
            case=replace(case, command=replace(case.command, folder=Path()) if case.command else None, btf=None),
            objects=self._objects(case, kernel.arch),
            check=self._bytes(case.check.read_bytes) if case.check is not None else "",
            supplies=tuple(supplies),
            own=own,
            command=self._command(case, kernel.arch),
            adapter=self._file(case.adapter.program) if case.adapter is not None else "",
            settings=self.settings,
        )

    def chunks(self, digest: str) -> Iterable[tuple[int, bytes, bool]]:
        """Yield the bytes behind a digest in parts: where each starts, the part, and whether it is the last."""
        size, read = self._sources[digest]
        for offset in range(0, size or 1, blobs.CHUNK):
            yield offset, read(offset, blobs.CHUNK), offset + blobs.CHUNK >= size

    def _objects(self, case: Case, arch: Architecture) -> dict[str, SentFile]:
        if case.command is not None:
            return {}
        name = case.object_data(arch)[0]
        found = {case.object: SentFile(name, self._bytes(lambda: case.object_data(arch)[1]))}
        for text, beside in zip(case.beside, case.beside_data(arch)):
            found[text] = SentFile(beside, self._bytes(lambda name=beside: case.beside_data(arch)[name]))  # type: ignore[misc]
        return found

    def _supplies(self, case: Case, kernel: Kernel) -> tuple[list[SentSupply], SentSupply | None]:
        """Return what the command line's BTF has for a kernel, and what the case's own has."""
        own = [case.btf] if case.btf is not None else []
        sent = [self._supply(one, found) for one, found in supplied([*self.supplies, *own], kernel)]
        return sent[: len(self.supplies)], sent[-1] if own else None

    def _supply(self, one: Supply, found: Supplied | EverykernelError | None) -> SentSupply:
        if isinstance(found, Supplied):
            file = SentFile(found.name, self._bytes(lambda: found.data))
            return SentSupply(one.name, one.spec, file, found.notes)
        return SentSupply(one.name, one.spec, error=found)

    def _command(self, case: Case, arch: Architecture) -> SentCommand | None:
        if case.command is None:
            return None
        tree, program = case.command.tree(arch), case.command.program(arch)
        files = {item.path: item.source for item in tree.items.values() if item.source is not None}
        numbers = {path: str(number) for number, path in enumerate(files)}
        members = [(numbers[path], source) for path, source in files.items()]
        if program is not None:
            members.append(("program", program))
        return SentCommand(
            self._folder(members),
            tuple(replace(item, source=None) for item in tree.items.values()),
            numbers,
            tuple(tree.binds),
            tree.bytes,
            "program" if program is not None else "",
            tuple(case.command.started(arch)),
        )

    # --- bytes behind digests

    def _bytes(self, read: Callable[[], bytes]) -> str:
        """Return the digest of what ``read`` returns; it is called again for each worker, and nothing is kept."""
        data = read()
        digest = blobs.digest_of(data)
        with self._lock:
            self._sources[digest] = len(data), lambda offset, size: read()[offset : offset + size]
        return digest

    def _file(self, path: Path) -> str:
        digest = digest_of_file(path)

        def read(offset: int, size: int) -> bytes:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(size)

        with self._lock:
            self._sources[digest] = path.stat().st_size, read
        return digest

    def _folder(self, members: Sequence[tuple[str, Path]]) -> str:
        """Return the digest of files as one archive: the same files give the same bytes."""
        seen = [(name, path.stat().st_size, path.stat().st_mtime_ns, str(path)) for name, path in members]
        key = hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:24]
        packed = cache.entry(blobs.FOLDER, f"pack-{key}")
        cache.hold(packed)
        with cache.lock(f"{blobs.FOLDER}/{packed.name}"):
            if not packed.exists():
                with cache.write_atomically(packed) as file:
                    _write(members, file)
        return self._file(packed)


def _write(members: Sequence[tuple[str, Path]], file: object) -> None:
    with (
        zstandard.ZstdCompressor(_LEVEL).stream_writer(file, closefd=False) as out,  # type: ignore[arg-type]
        tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as tar,
    ):
        for name, path in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = path.stat().st_size, 0o755 if path.stat().st_mode & 0o111 else 0o644
            with path.open("rb") as content:
                tar.addfile(info, content)


def _kernel(kernel: Kernel) -> list[tuple[str, Path]]:
    """Return a kernel's files by their names in its folder: all that a worker could ask it for."""
    found = [("vmlinuz", kernel.image)]
    if kernel.config is not None:
        found.append(("config", kernel.config))
    if not kernel.source.startswith("path:"):
        found += [(name, path) for name in _BESIDE if (path := kernel.image.with_name(name)).is_file()]
    if kernel.modules is not None:
        top = kernel.modules
        files = sorted(path for path in top.rglob("*") if path.is_file() and not path.is_symlink())
        found += [(f"lib/modules/{kernel.release}/{path.relative_to(top)}", path) for path in files]
    return found


def _image(arch: Architecture, progress: Progress) -> list[tuple[str, Path]]:
    folder = images.build(arch, progress).path.parent
    return [(path.name, path) for path in (folder / "about.json", folder / "image.cpio")]
