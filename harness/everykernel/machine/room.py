"""Whether what a run keeps in the cache fits there: said before anything is fetched or booted.

A run holds each kernel and each warm snapshot that it uses until it ends, so that prune takes nothing from it. What it
holds must fit, whatever else is thrown away for it.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable

from everykernel import cache
from everykernel.errors import CacheError
from everykernel.kernels.model import ResolvedKernel
from everykernel.machine.spec import MachineSpec

# Bytes, seen with Debian's 5.10 to 7.3 (docs/kernels.md says how to look).
KERNEL = 120 << 20  # image, modules and BTF of a kernel; those of the generic flavour have four times that
IMAGE = 60 << 20  # the guest image and a kernel's modules
TOUCHED = 200 << 20  # what a guest has written to when it is saved, however large it is: 90 to 215 MB
DESCRIPTORS = 64  # one byte in so many describes the others: 64 of a page's 4096 (Linux struct page)


def check(wanted: Iterable[tuple[ResolvedKernel, MachineSpec]]) -> None:
    """Check that a run on these kernels and machines fits into the cache's limit, and onto its disk.

    Raises:
        CacheError: it does not; nothing has been deleted for it.
    """
    pairs = {(kernel.release, kernel.arch.name, machine) for kernel, machine in wanted}
    if not pairs:
        return
    kernels = {pair[:2] for pair in pairs}
    snapshots = [snapshot(machine) for *_, machine in pairs]
    needed = (
        len(kernels) * (KERNEL + IMAGE) + sum(snapshots) + max(snapshots)
    )  # a boot snapshot lies below each in turn
    what = f"this run needs some {_gb(needed)} of the cache ({len(kernels)} kernels, {len(pairs)} snapshots)"
    if needed > cache.limit():
        remedy = f"set {cache.LIMIT_SETTING} to {math.ceil(needed / 1e9)} (GB), or name fewer kernels"
        raise CacheError(f"{what}, whose limit is {_gb(cache.limit())}", where=str(cache.root()), remedy=remedy)
    free = shutil.disk_usage(cache.root()).free
    if needed > free and needed > (room := free + sum(entry.bytes for entry in cache.entries())):
        remedy = f"free some space, set {cache.ROOT_SETTING} to a folder on another disk, or name fewer kernels"
        raise CacheError(f"{what}, whose disk has room for {_gb(room)}", where=str(cache.root()), remedy=remedy)


def snapshot(machine: MachineSpec) -> int:
    """Return the bytes that a snapshot of such a machine takes on the disk, about."""
    memory = machine.memory << 20
    return min(memory, TOUCHED + memory // DESCRIPTORS)


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
