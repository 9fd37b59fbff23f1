"""The part of the initramfs that one kernel needs: its modules, uncompressed, and its build configuration.

Debian's packages carry no modules.dep (depmod runs when a package is installed), so dependencies are read where depmod
reads them: the ``depends=`` field in each module's own .modinfo section. Of what a module would rather have before it
(``softdep=pre:``), the portable implementation of an algorithm is taken, which loads everywhere: crc32c_generic.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from everykernel import cache, names
from everykernel.errors import KernelModuleMissing
from everykernel.images import cpio
from everykernel.kernels import bounded
from everykernel.kernels.model import Kernel

FORMAT = 1  # of what this module writes: raise it when the same inputs give other bytes
CHANNEL = ("virtio_pci", "virtio_console")  # without them the agent cannot be reached
LARGEST = 256 << 20  # bytes of a module, packed or not: the largest, with debug information, have half of that
ALL_LARGEST = 1 << 30  # bytes of all that go into one initramfs: a guest has to hold them in its memory
_DEPENDS = 64 << 10  # bytes of a depends= field: all 4,500 modules of a distribution's kernel would not fill it
_PORTABLE = "_generic"  # what the kernel's crypto/ calls an implementation in C
_SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")


def modules_cpio(kernel: Kernel, modules: Iterable[str] = (), sysctls: Iterable[tuple[str, str]] = ()) -> Path:
    """Return the cpio archive with ``modules`` and what the channel needs, their dependencies, and the configuration.

    Raises:
        KernelModuleMissing: a module that was asked for is not in this kernel, or cannot be used.
        CacheError: the cache cannot be written.
    """
    tree = Tree(kernel)
    wanted = tree.order([*(m for m in CHANNEL if tree.has_file(m)), *modules])
    identity = [
        FORMAT,
        kernel.sha256,
        kernel.release,
        tuple(sysctls),
        [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in wanted],
        kernel.config and kernel.config.stat().st_mtime_ns,
    ]
    key = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
    path = cache.entry("images", f"modules-{kernel.release}-{key}.cpio")
    cache.hold(path)
    if path.exists():
        cache.touch(path)
    else:
        cache.write(path, _archive(kernel, wanted, tuple(sysctls)))
    return path


class Tree:
    """The modules of one kernel: where each is, what is built in, what depends on what."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._files: dict[str, Path] = {}
        self._builtin: set[str] = set()
        if kernel.modules is not None:
            for path in kernel.modules.rglob("*.ko*"):
                if path.name.endswith(_SUFFIXES):
                    self._files[_name(path)] = path
            listed = kernel.modules / "modules.builtin"
            if listed.exists():
                self._builtin = {_name(Path(line)) for line in listed.read_text().splitlines()}

    def has_file(self, name: str) -> bool:
        """Return whether ``name`` is a module that can be loaded (not: built in)."""
        return name.replace("-", "_") in self._files

    def files(self) -> list[tuple[str, Path]]:
        """Return every module that has a file, by name, with it."""
        return sorted(self._files.items())

    def file(self, name: str) -> Path | None:
        """Return a module's file, None of one that is built in; raise KernelModuleMissing for one that there is not."""
        name = name.replace("-", "_")
        if name not in self._files and name not in self._builtin:
            raise self._missing(name)
        return self._files.get(name)

    def order(self, wanted: Iterable[str]) -> list[Path]:
        """Return the files to load for ``wanted``, dependencies first, each once; built-in modules need none.

        Raises:
            KernelModuleMissing: the kernel has no such module, or one that cannot be used.
        """
        done: dict[str, Path] = {}
        for name in wanted:
            open_: dict[str, Iterator[str]] = {}  # by module, what is left of its dependencies: the chain down to here
            self._enter(name, open_, done)
            while open_:  # no recursion: a chain may be as long as there are modules
                last = next(reversed(open_))
                dependency = next(open_[last], None)
                if dependency is not None:
                    self._enter(dependency, open_, done)
                else:
                    del open_[last]
                    done[last] = self._files[last]
        return list(done.values())

    def _enter(self, name: str, open_: dict[str, Iterator[str]], done: dict[str, Path]) -> None:
        """Begin with a module, unless it is done or built in."""
        name = names.checked(name.replace("-", "_"), "a module", where=self._kernel.spec, error=KernelModuleMissing)
        if name in done or name in self._builtin:
            return
        if name in open_:
            circle = [*open_][[*open_].index(name) :]
            shown = " → ".join(circle if len(circle) < 9 else [*circle[:4], "…", *circle[-4:]])
            raise _unusable(self._files[name], f"depends on itself ({shown} → {name})")
        if name not in self._files:
            raise self._missing(name)
        data = content(self._files[name])
        portable = (f"{one}{_PORTABLE}" for one in prefers(data))
        before = [one for one in portable if self.has_file(one) and one != name and one not in open_]
        open_[name] = iter([*before, *depends(data)])

    def _missing(self, name: str) -> KernelModuleMissing:
        if self._kernel.modules is None:
            message = f"module {name!r} was asked for, and this kernel comes without modules"
        else:
            message = f"this kernel has no module {name!r}"
        return KernelModuleMissing(message, where=self._kernel.spec, remedy="ask for another flavour or version")


def _unusable(path: Path, why: str) -> KernelModuleMissing:
    remedy = "everykernel kernels remove it and fetch it again, or build it again"
    return KernelModuleMissing(f"this module {why}", where=str(path), remedy=remedy)


def content(path: Path) -> bytes:
    """Return a module's ELF bytes, decompressed; raise KernelModuleMissing for a file that holds none, or too many."""
    kind = {".xz": "xz", ".zst": "zst", ".gz": "gz"}.get(path.suffix)
    if path.stat().st_size > LARGEST:
        raise _unusable(path, f"cannot be read: it has more than {LARGEST >> 20} MiB")
    data = path.read_bytes()
    try:
        return bounded.decompress(data, kind, LARGEST) if kind is not None else data
    except bounded.Damaged as e:
        raise _unusable(path, f"cannot be read: {e}") from e


def depends(module: bytes) -> list[str]:
    """Return the names that a module's .modinfo section says it depends on; a field that does not end is none."""
    match = re.search(rb"\0depends=([^\0]{0,%d})\0" % _DEPENDS, module)
    return [name.replace("-", "_") for name in match[1].decode("latin-1").split(",") if name] if match else []


def prefers(module: bytes) -> list[str]:
    """Return the names that a module's .modinfo section says are best loaded before it; names of algorithms, too."""
    match = re.search(rb"\0softdep=pre:([^\0]{0,%d})\0" % _DEPENDS, module)
    words = match[1].decode("latin-1").partition(" post:")[0].split() if match else []
    return [name.replace("-", "_") for name in words]


def _name(path: Path) -> str:
    return path.name.split(".ko")[0].replace("-", "_")


def _relative(kernel: Kernel, path: Path) -> str:
    """Return where a module is below ``lib/modules/<release>``, uncompressed."""
    assert kernel.modules is not None
    found = path.relative_to(kernel.modules).with_name(f"{path.name.split('.ko')[0]}.ko")
    for part in found.parts:  # a list of them, one a line, and a path in the guest are made of it
        names.checked(part, "a module's file", where=str(kernel.modules), error=KernelModuleMissing)
    return str(found)


def _archive(kernel: Kernel, modules: list[Path], sysctls: tuple[tuple[str, str], ...]) -> bytes:
    members, listed, lines = [], [], []
    relative = {_name(path): _relative(kernel, path) for path in modules}
    total = 0
    for path in modules:
        target = f"lib/modules/{kernel.release}/{relative[_name(path)]}"
        data = content(path)
        total += len(data)
        if total > ALL_LARGEST:
            raise _unusable(path, f"and those that it needs have more than {ALL_LARGEST >> 20} MiB")
        members.append(cpio.file(target, data))
        listed.append(f"/{target}")
        needed = [relative[name] for name in depends(data) if name in relative]  # what is built in has no file
        lines.append(f"{relative[_name(path)]}: {' '.join(needed)}".rstrip())
    members.append(cpio.file("everykernel/modules", "".join(f"{path}\n" for path in listed).encode()))
    members.append(cpio.file("everykernel/sysctls", "".join(f"{k}={v}\n" for k, v in sysctls).encode()))
    members.append(cpio.file(f"lib/modules/{kernel.release}/modules.dep", "".join(f"{x}\n" for x in lines).encode()))
    if kernel.config is not None:
        members.append(cpio.file(f"boot/config-{kernel.release}", kernel.config.read_bytes()))
    return cpio.archive(members)
