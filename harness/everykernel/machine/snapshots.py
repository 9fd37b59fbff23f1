"""Snapshots in the cache: what decides one, and where it is.

A snapshot is a folder: ``memory`` (the guest's, sparse), ``state`` (all else: devices, CPUs) and ``about.json``. Its
name is a hash of everything that decides it, so a stale one is never found.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everykernel import cache, folders, images
from everykernel.kernels.model import Kernel
from everykernel.machine import command, holes
from everykernel.machine.command import NOWHERE
from everykernel.machine.devices import Boot, Memory
from everykernel.machine.spec import MachineSpec
from everykernel.settings import BARE

_SETTLING = folders.package() / "machine" / "settling.py"  # what the host does to a bare machine that has booted
FORMAT = 3  # of what making.py does to a guest before it is saved: raise it when that changes


@dataclass(frozen=True)
class Plan:
    """Everything that decides the snapshots of one machine.

    Attributes:
        kernel, spec: the kernel and its machine.
        accelerator: ``kvm`` or ``tcg``.
        program: the emulator.
        image: the guest image.
        modules: the kernel's own part of the initramfs.
    """

    kernel: Kernel
    spec: MachineSpec
    accelerator: str
    program: Path
    image: images.Image
    modules: Path

    @functools.cached_property
    def boot_key(self) -> str:
        """The boot snapshot's name: kernel, initramfs, both command lines, emulator, and the host's CPU under KVM."""
        devices = command.common(self.kernel.arch, self.spec, self.accelerator, NOWHERE)
        boot = Boot("KERNEL", "INITRD", self.spec.cmdline)
        memory = Memory(self.spec.memory, "MEMORY", shared=True)
        return _hash(
            FORMAT,
            command.arguments(command.booting(devices, memory, boot)),
            digest(self.program),
            self.kernel.digest or digest(self.kernel.image),
            self.image.digest,
            digest(self.modules),
            host_cpu() if self.accelerator == "kvm" else "",
            *([digest(_SETTLING)] if self.spec.kind == BARE else []),
        )

    @functools.cached_property
    def warm_key(self) -> str:
        """The warm snapshot's name: the boot snapshot, our own code, and how it is restored."""
        devices = command.common(self.kernel.arch, self.spec, self.accelerator, NOWHERE)
        arguments = command.arguments(command.continuing(devices, self.spec, "MEMORY"))
        return _hash(FORMAT, self.boot_key, arguments, images.agent_digest())

    @property
    def layered(self) -> bool:
        """Whether there is a boot snapshot below the warm one: where our code changes, a boot is saved each time.

        A machine that forgets its timers would not come back from one: stage 0 does not know how to mend that.
        """
        return folders.ours_changes() and not self.kernel.arch.forgets

    @property
    def unpacks(self) -> bool:
        """Whether a kernel that QEMU can enter is unpacked here, and not by an emulated CPU."""
        return self.kernel.arch.elf and self.accelerator == "tcg"

    @property
    def boot_folder(self) -> Path:
        """Where the boot snapshot is, or will be."""
        return cache.entry("snapshots", f"boot-{self.kernel.release}-{self.boot_key}")

    @property
    def warm_folder(self) -> Path:
        """Where the warm snapshot is, or will be."""
        return cache.entry("snapshots", f"warm-{self.kernel.release}-{self.warm_key}")


@dataclass(frozen=True)
class Snapshot:
    """A finished snapshot. Its memory file is opened through `devices.Memory.private` alone."""

    folder: Path

    @property
    def memory(self) -> Path:
        """The guest's memory."""
        return self.folder / "memory"

    @functools.cached_property
    def state(self) -> bytes:
        """All else of the guest (some 300 KB)."""
        return (self.folder / "state").read_bytes()

    @functools.cached_property
    def about(self) -> dict[str, Any]:
        """How it was made."""
        about: dict[str, Any] = json.loads((self.folder / "about.json").read_text())
        return about


def find(folder: Path) -> Snapshot | None:
    """Return the finished snapshot in ``folder``, None if there is none."""
    if not (folder / "about.json").exists():
        return None
    return Snapshot(folder)


def discard(folder: Path) -> None:
    """Make a snapshot that does not come back unfindable: it will be made anew."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        (folder / "about.json").unlink()


def finish(folder: Path, state: bytes, about: dict[str, Any]) -> None:
    """Complete a snapshot whose memory file is in ``folder``: on the disk before it can be found."""
    holes.dig(folder / "memory")
    (folder / "state").write_bytes(state)
    (folder / "about.json").write_text(json.dumps(about, indent=1))
    for name in ("memory", "state", "about.json"):
        descriptor = os.open(folder / name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def copy_sparsely(source: Path, target: Path) -> None:
    """Copy a file, its holes as holes; on a file system that can, the copy shares the blocks."""
    size = source.stat().st_size
    with source.open("rb") as reader, target.open("wb") as writer:
        writer.truncate(size)
        for start, end in holes.data(reader.fileno(), size):
            while start < end:
                start += os.copy_file_range(reader.fileno(), writer.fileno(), end - start, start, start)


@functools.cache
def _digest(path: Path, size: int, changed: int, inode: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(path: Path) -> str:
    """Return a file's SHA-256 (hex); read once a process unless it changes."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns, status.st_ino)


@functools.cache
def host_cpu() -> str:
    """Return what identifies the host's CPU model: a state saved under KVM is bound to it."""
    wanted = ("vendor_id", "cpu family", "model", "stepping", "microcode", "flags", "CPU ")
    first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    return "\n".join(line for line in first.splitlines() if line.startswith(wanted))


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
