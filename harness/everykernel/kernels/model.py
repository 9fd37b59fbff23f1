"""A kernel as the rest of the harness sees it: resolved (name and source known), then fetched (its files are here)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from everykernel.architectures import Architecture
from everykernel.kernels.progress import Progress
from everykernel.settings import BARE, VNG

# Where kernels run: in guests of this host, with Python or without, restored, or booted with the host's own user space;
# fresh for every cell.
GUEST = "guest"
BOOTED = (GUEST, BARE, VNG)


@dataclass(frozen=True)
class Kernel:
    """A kernel whose files are on this machine.

    Attributes:
        spec: as the user gave it (``6.1``, ``6.1/i386``, ``./bzImage``): the column's name.
        arch: its row in the table of architectures.
        release: what ``uname -r`` prints there.
        image: the bootable image (vmlinuz, bzImage).
        modules: the folder ``lib/modules/<release>``, or None where there are none (``notes`` says why).
        config: the build configuration, or None.
        sha256: of the package that it came from (hex), of the image for a path.
        source: ``<source>:<suite>`` (``debian:bookworm``) or ``path:<path>``.
        signed: how the source is vouched for: ``gpgv``, ``https`` or ``none``.
        notes: what a reader of the results should know, one line each.
        version: the package's version (``6.1.192-1``), the release for a path.
        series: ``6.1``.
        flavour: Debian's flavour (``cloud-amd64``), "" for a path.
        digest: SHA-256 of ``image`` (hex), verified when the kernel was fetched: fit for a snapshot's key.
        supplied: BTF that was made for it, to relocate against, where it comes with some; else None.
        target: where it runs: one of `BOOTED`, in a guest of this host, or how a machine is reached (``ssh``).
    """

    spec: str
    arch: Architecture
    release: str
    image: Path
    modules: Path | None
    config: Path | None
    sha256: str
    source: str
    signed: str
    notes: tuple[str, ...] = ()
    version: str = ""
    series: str = ""
    flavour: str = ""
    digest: str = ""
    supplied: Path | None = None
    target: str = GUEST


class Fetcher(Protocol):
    """What brings a resolved kernel's files here."""

    def __call__(self, resolved: ResolvedKernel, progress: Progress) -> Kernel:
        """Return the kernel, downloading what is missing; raise DownloadError or CacheError."""


@dataclass(frozen=True)
class ResolvedKernel:
    """A kernel that a spec was found to mean; nothing but indexes was downloaded for it.

    Attributes: as in `Kernel`, and ``package``, the name of the package that holds it ("" for a path), and ``told``,
    what else a column's record says of it: what a machine that runs already told.
    """

    spec: str
    arch: Architecture
    series: str
    version: str
    release: str
    package: str
    source: str
    flavour: str
    fetcher: Fetcher = field(repr=False, compare=False)
    cached: bool = field(default=False, compare=False)
    target: str = GUEST
    told: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def fetch(self, progress: Progress | None = None) -> Kernel:
        """Return the kernel with its files in the cache, downloading what is missing.

        Raises:
            DownloadError: it could not be had whole and verified; the remedy says what to do.
            CacheError: the cache cannot be written.
        """
        from everykernel.kernels.progress import SILENT

        return self.fetcher(self, progress if progress is not None else SILENT)

    def placed(
        self, spec: str, target: str, note: str, check: Callable[[Kernel], None] = lambda kernel: None
    ) -> ResolvedKernel:
        """Return it as a column of its own: the same kernel in other guests.

        Args:
            spec: the column's name.
            target: where it runs, one of `BOOTED`.
            note: what a reader of its results should know of that.
            check: raises where the kernel, once it is fetched, cannot run there.
        """

        def fetcher(resolved: ResolvedKernel, progress: Progress) -> Kernel:
            kernel = self.fetch(progress)
            made = replace(kernel, spec=spec, target=target, notes=(*kernel.notes, note))
            check(made)
            return made

        return replace(self, spec=spec, target=target, fetcher=fetcher, told={"target": target, "notes": [note]})
