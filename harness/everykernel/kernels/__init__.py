"""Kernels: what a spec means, where its kernel comes from, and its files in the cache.

`parse` reads a list of specs, `resolve` finds what they mean (it may download indexes), `ResolvedKernel.fetch` brings
the files here, and `btf` reads the BTF out of a kernel's image without booting it.
"""

from __future__ import annotations

from collections.abc import Sequence

from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.kernels.progress import Progress

__all__ = ["Kernel", "Progress", "ResolvedKernel", "btf", "resolve", "series"]


def resolve(texts: Sequence[str], progress: Progress | None = None) -> list[ResolvedKernel]:
    """Return what the specs mean, in order, each once; ranges and ``lts`` give several.

    Raises:
        UnknownKernel: a spec that no source serves, with the nearest series to be had.
        UsageError: a spec that cannot be read.
        DownloadError: an index cannot be had.
    """
    raise NotImplementedError


def btf(kernel: Kernel) -> bytes | None:
    """Return the kernel's vmlinux BTF, read from its image without booting it; None if it has none."""
    raise NotImplementedError


def series() -> list[str]:
    """Return the series that the catalogue knows, oldest first."""
    raise NotImplementedError
