"""Which BTF a cell relocates against: the kernel's own, or one that was supplied because the kernel has none."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from everykernel import settings, wire
from everykernel.errors import UsageError
from everykernel.kernels.download import shown
from everykernel.kernels.model import Kernel
from everykernel.kernels.progress import SILENT, Progress
from everykernel.kernels.supplied import Supplied, Supply, for_kernel


def choose(
    supplies: Sequence[Supply], kernel: Kernel, facts: wire.Facts, *, always: bool = False
) -> tuple[Supplied | None, list[str]]:
    """Return the supplied BTF to relocate against, None for the kernel's own (or none), and notes for the record.

    Args:
        supplies: what was supplied, in the order of precedence; what comes with the kernel is behind what is for its
            spec, and before what is for all.
        kernel: the kernel.
        facts: what its guest found out: a kernel with BTF of its own uses that …
        always: … unless this is true.

    Raises as `Supply.find` does.
    """
    if facts.btf and not always:
        unused = [s for s in supplies if s.is_of(kernel.spec)]
        return None, [f"{s.name} is not used: the kernel has BTF of its own" for s in unused]
    if always and not supplies:
        return None, ["a supplied BTF is wanted always, and none was supplied (--btf)"]
    return for_kernel(with_own(supplies, kernel), kernel.spec, facts.release, kernel.arch, kernel.source)


def with_own(supplies: Sequence[Supply], kernel: Kernel) -> list[Supply]:
    """Return what was supplied for a kernel, with what comes with it."""
    own = [Supply(kernel.supplied, kernel.supplied.name, kernel.spec)] if kernel.supplied else []
    return [*supplies, *own]


def again(given: Iterable[str], spec: str, option: str = "--btf") -> str:
    """Return the supplies that serve a kernel as options, for the command that runs one of its cells again."""
    serve = [(of, path) for of, path in map(settings.supply, given) if of in ("", spec, settings.machine_of(spec)[0])]
    texts = (f"{of}={_plain(path)}" if of else _plain(path) for of, path in serve)
    return "".join(f" {option} {shlex.quote(text)}" for text in texts)


def _plain(path: str) -> str:
    """Return a path, or a URL as it may be shown: results hold nobody's password."""
    return shown(path) if settings.is_url(path) else path


def check(supplies: Sequence[Supply], specs: Iterable[str], progress: Progress = SILENT) -> None:
    """Raise UsageError for a supply that is meant for a kernel which is not among ``specs``; then `Supply.prepare`."""
    known = list(specs)
    for supply in supplies:
        if supply.spec and not any(supply.is_of(spec) for spec in known):
            raise UsageError(
                f"kernel {supply.spec!r} is not part of this run",
                where=f"--btf {supply.spec}={supply.name}",
                remedy=f"one of {', '.join(known)}",
            )
    for supply in supplies:
        supply.prepare(progress)
