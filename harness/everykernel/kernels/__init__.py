"""Kernels: what a spec means, where its kernel comes from, and its files in the cache.

`parse` reads a list of specs, `resolve` finds what they mean (it may download indexes), `ResolvedKernel.fetch` brings
the files here, and `btf` reads the BTF out of a kernel's image without booting it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from everykernel.errors import UsageError
from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.kernels.progress import SILENT, Progress

if TYPE_CHECKING:
    from everykernel.kernels.debian import Archive
    from everykernel.kernels.resolver import Resolver
    from everykernel.kernels.sources.protocol import Source
    from everykernel.kernels.spec import Spec

__all__ = ["Kernel", "Progress", "ResolvedKernel", "btf", "btf_path", "parse", "resolve", "series"]

# The sources, and what downloads, are imported by who resolves: whoever only names a kernel need not wait for them.


def parse(texts: str | Sequence[str]) -> list[Spec]:
    """Return what specs, or comma lists of them, say; raise UsageError for one that cannot be read."""
    from everykernel.kernels import spec

    return spec.parse(texts)


def resolve(
    texts: str | Sequence[str],
    progress: Progress | None = None,
    *,
    archive: Archive | None = None,
    sources: Sequence[Source] | None = None,
    update: bool = False,
) -> list[ResolvedKernel]:
    """Return what the specs mean, in order, each once; ranges and ``lts`` give several. Boots nothing.

    Args:
        texts: specs, or comma lists of them.
        progress: where downloads of indexes are shown.
        archive: Debian's, as the one source.
        sources: where kernels come from, in order; None is what the environment, the project or the usual order says.
        update: ask for indexes anew even where a cached one is less than a day old.

    Raises:
        UnknownKernel: a spec that no source serves, with the nearest series to be had.
        UsageError: a spec that cannot be read.
        DownloadError: an index cannot be had, and nothing in the cache serves instead.
    """
    from everykernel.kernels.sources.debian import Debian

    specs = parse(texts)
    if archive is not None:
        sources = [Debian(archive)]
    return finder(progress, sources=sources, update=update).resolve(specs)


def finder(
    progress: Progress | None = None,
    *,
    sources: Sequence[Source] | None = None,
    update: bool = False,
    ignore_lock: bool = False,
) -> Resolver:
    """Return what finds the meaning of specs; arguments as of `resolve`, and whether the project's lock counts."""
    from everykernel import settings
    from everykernel.kernels import lock
    from everykernel.kernels.resolver import Resolver
    from everykernel.kernels.sources import table

    return Resolver(
        sources if sources is not None else table.usual(settings.read(Path.cwd()).get("sources", ()), update=update),
        progress or SILENT,
        lambda name: table.make(name, update=update),
        lock.find(Path.cwd()) if not ignore_lock else None,
        os.environ.get(lock.SETTING, "") not in ("", "0") and not ignore_lock,
    )


def btf_path(kernel: Kernel) -> Path | None:
    """Return the file with the kernel's vmlinux BTF, read from its image without booting it, or made for it.

    None if there is none.
    """
    beside = kernel.supplied or kernel.image.with_name("vmlinux.btf")
    if not kernel.source.startswith("path:"):
        return beside if beside.exists() else None
    from everykernel.kernels import local

    with contextlib.suppress(UsageError):  # an image that cannot be decompressed may boot all the same
        return local.btf_path(kernel)
    return None


def btf(kernel: Kernel) -> bytes | None:
    """Return the kernel's vmlinux BTF, as `btf_path` has it; None if there is none."""
    path = btf_path(kernel)
    return path.read_bytes() if path is not None else None


def series() -> list[str]:
    """Return the series that the catalogue knows, oldest first."""
    from everykernel.kernels import catalogue

    return list(catalogue.load().series)
