"""Room in the cache for a run: asked for before anything is fetched or booted, and kept until the run ends.

A run holds each kernel and each warm snapshot that it uses until it ends, so that prune takes nothing from it. What it
holds must fit, whatever else is thrown away for it; what is there already is held from the beginning, so that no kernel
that is made ready pushes out what a later one needs.
"""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Iterable
from pathlib import Path

from everykernel import cache
from everykernel.errors import CacheError
from everykernel.kernels.model import ResolvedKernel
from everykernel.machine import snapshots
from everykernel.machine.spec import MachineSpec

# Bytes, seen with Debian's 5.10 to 7.3 (docs/kernels.md says how to look).
KERNEL = 120 << 20  # image, modules and BTF of a kernel; those of the generic flavour have four times that
IMAGE = 60 << 20  # the guest image and a kernel's modules
TOUCHED = 200 << 20  # what a guest has written to when it is saved, however large it is: 90 to 215 MB
DESCRIPTORS = 64  # one byte in so many describes the others: 64 of a page's 4096 (Linux struct page)


def reserve(wanted: Iterable[tuple[ResolvedKernel, MachineSpec]]) -> None:
    """Check that a run on these kernels and machines fits into the cache, and hold the snapshots that it will use.

    Of several snapshots of a kernel and machine the one that was used last is held: others are of older code.

    Raises:
        CacheError: it does not; nothing has been deleted for it.
    """
    pairs = {(kernel.release, kernel.arch.name, machine) for kernel, machine in wanted}
    if not pairs:
        return
    kernels = {pair[:2] for pair in pairs}
    sizes = [snapshot(machine) for *_, machine in pairs]
    needed = len(kernels) * (KERNEL + IMAGE) + sum(sizes) + max(sizes)  # a boot snapshot lies below each in turn
    what = f"this run needs some {_gb(needed)} of the cache (kernels: {len(kernels)}, snapshots: {len(pairs)})"
    if needed > cache.limit():
        remedy = f"set {cache.LIMIT_SETTING} to {math.ceil(needed / 1e9)} (GB), or name fewer kernels"
        raise CacheError(f"{what}, whose limit is {_gb(cache.limit())}", where=str(cache.root()), remedy=remedy)
    free = shutil.disk_usage(cache.root()).free
    if needed > free and needed > (room := free + sum(entry.bytes for entry in cache.entries())):
        remedy = f"free some space, set {cache.ROOT_SETTING} to a folder on another disk, or name fewer kernels"
        raise CacheError(f"{what}, whose disk has room for {_gb(room)}", where=str(cache.root()), remedy=remedy)
    here = _latest()
    for release, _, machine in pairs:
        if (found := here.get((release, repr(machine.describe())))) is not None:
            cache.hold(found)


def _latest() -> dict[tuple[str, str], Path]:
    """Return the warm snapshot that was used last of each release and machine."""
    found = {}
    for entry in cache.entries(["snapshots"]):
        if entry.path.name.startswith("warm-") and snapshots.find(entry.path) is not None:
            with contextlib.suppress(OSError, ValueError):
                about = snapshots.Snapshot(entry.path).about
                found[str(about.get("release")), repr(about.get("machine"))] = entry.path
    return found


def snapshot(machine: MachineSpec) -> int:
    """Return the bytes that a snapshot of such a machine takes on the disk, about."""
    memory = machine.memory << 20
    return min(memory, TOUCHED + memory // DESCRIPTORS)


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
