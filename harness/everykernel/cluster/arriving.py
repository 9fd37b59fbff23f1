"""Kernels and guest images that came packed, as this machine's own code wants them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from everykernel import cache, images
from everykernel.architectures import Architecture
from everykernel.cluster import blobs
from everykernel.kernels.model import Kernel


def kernel(digest: str, sent: Kernel) -> Kernel:
    """Return a kernel with the files that came; raise CacheError where they cannot be unpacked."""
    folder = blobs.tree(digest)
    modules = folder / "lib" / "modules" / sent.release if sent.modules is not None else None
    config = folder / "config" if sent.config is not None else None
    return replace(sent, image=folder / "vmlinuz", modules=modules, config=config)


def image(digest: str, arch: Architecture) -> None:
    """Have guests of an architecture start from the image that came: its packages decide what runs in a guest.

    Raises CacheError where it cannot be unpacked.
    """
    came = blobs.tree(digest)
    entry = images.place(arch)
    with cache.lock(f"images/{entry.name}"):
        if _sha256(entry) != _sha256(came):
            with cache.make_folder(entry) as made:
                shutil.copytree(came, made, dirs_exist_ok=True)


def _sha256(folder: Path) -> str:
    """Return the digest that an image's record names, "" where there is none."""
    try:
        return str(json.loads((folder / "about.json").read_text())["sha256"])
    except (OSError, ValueError, KeyError):
        return ""
