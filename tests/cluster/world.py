"""``everykernel`` in a fake world, as a process of its own: ``python -m tests.cluster.world worker tcp://…``.

Kernels have a few bytes of files, so that they travel; guests answer as `tests.faking` says. EK_TEST_QEMU is what this
machine says of its QEMU, EK_TEST_SILENT after how many seconds a silent worker counts as lost; the others likewise.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import faking

import everykernel.kernels
import everykernel.machine
from everykernel import cache, images, wire
from everykernel.cluster import client, serving
from everykernel.errors import BootFailed
from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.machine import MachineSpec, Prepared, process


def fetch(resolved: ResolvedKernel, progress: Any) -> Kernel:
    """Return a kernel with files in the cache."""
    folder = cache.folder("kernels") / resolved.spec.replace("/", "-")
    modules = folder / "lib" / "modules" / resolved.release
    (modules / "kernel").mkdir(parents=True, exist_ok=True)
    (modules / "modules.builtin").write_text("kernel/virtio.ko\n")
    (modules / "kernel" / "a.ko").write_text(f"a module of {resolved.spec}")
    (folder / "vmlinuz").write_text(f"the image of {resolved.spec}")
    (folder / "config").write_text("CONFIG_BPF=y\n")
    kernel = faking.kernel(resolved.spec)
    return replace(kernel, image=folder / "vmlinuz", modules=modules, config=folder / "config")


def resolve(texts: Any, progress: Any = None) -> list[ResolvedKernel]:
    """Resolve the fake specs to kernels that have files."""
    return [replace(one, fetcher=fetch) for one in faking.resolve(texts, progress)]


def build(arch: Any, progress: Any = None) -> images.Image:
    """Return a guest image of a few bytes, made once, as real ones are: kernels that are packed at once share it."""
    folder = images.place(arch)
    with cache.lock(f"images/{folder.name}"):
        if not folder.exists():
            with cache.make_folder(folder) as made:
                (made / "image.cpio").write_bytes(b"an image")
                (made / "about.json").write_text(json.dumps({"packages": [], "sha256": "1" * 64, "size": 8}))
    return images.Image(folder / "image.cpio", "1" * 64, ())


class World(faking.World):
    """Fake guests: an object that ``exits`` takes its whole worker with it; where EK_TEST_BROKEN is set none boots."""

    def prepare(self, kernel: Kernel, spec: MachineSpec | None = None) -> Prepared:
        if os.environ.get("EK_TEST_BROKEN"):
            raise BootFailed("no sign of life", where=kernel.spec)
        return super().prepare(kernel, spec)

    def _load(self, message: wire.Load) -> wire.Message:
        if json.loads(message.data or b"{}").get("exits"):
            os._exit(9)
        return super()._load(message)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the fake world in the place of the real one."""
    faking.install(monkeypatch)
    monkeypatch.setattr(everykernel.machine, "Machines", World)
    monkeypatch.setattr(everykernel.kernels, "resolve", resolve)
    monkeypatch.setattr(images, "build", build)
    monkeypatch.setattr(process, "version", lambda program: os.environ.get("EK_TEST_QEMU", "7.2"))
    monkeypatch.setattr(serving, "SILENT", os.environ.get("EK_TEST_SILENT", serving.SILENT))
    monkeypatch.setattr(client, "LOSSES", int(os.environ.get("EK_TEST_LOSSES", client.LOSSES)))
    monkeypatch.setattr(client, "NO_WORKER", float(os.environ.get("EK_TEST_NO_WORKER", client.NO_WORKER)))


if __name__ == "__main__":
    install(pytest.MonkeyPatch())
    from everykernel.cli import main

    assert Path.cwd()
    sys.exit(main())
