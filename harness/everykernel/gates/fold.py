"""Kernels as a baseline's lines name them: a range where it is true of all that were tested, else one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from everykernel.architectures import DEFAULT
from everykernel.gates.where import KernelSeen
from everykernel.matrix.ranges import Numbers

Named = tuple[str, str]  # kernels and BTF, as a line has them


def fold(failing: Mapping[str, str], tested: Sequence[KernelSeen], btf_of: Mapping[str, str]) -> list[Named]:
    """Return lines' kernels, with the BTF in use where it has to be said.

    A range is from the first series that fails to the last; no series between them may have a kernel that does not.

    Args:
        failing: the BTF in use by spec, of each kernel that has the thing.
        tested: every kernel of the run.
        btf_of: the BTF in use by spec, of each kernel on which the row was run.
    """
    found: list[Named] = []
    left = dict(failing)
    for arch in dict.fromkeys(kernel.arch for kernel in tested):
        every = sorted((k for k in tested if k.arch == arch and k.release), key=lambda k: (k.release, k.spec))
        found += _ranges(every, left, arch, "")
        for state in sorted(set(left.values())):
            found += _ranges([k for k in every if btf_of.get(k.spec) == state], left, arch, state)
    found += [(spec, btf if btf != "kernel" else "") for spec, btf in left.items()]
    return found


def _ranges(kernels: Iterable[KernelSeen], left: dict[str, str], arch: str, state: str) -> Iterator[Named]:
    """Yield the ranges of two series and more that fail throughout, and take their kernels out of ``left``."""
    series = [(number, list(members)) for number, members in groupby(kernels, lambda k: _series(k.release))]
    run: list[tuple[Numbers, list[KernelSeen]]] = []
    for number, members in [*series, ((), [])]:
        if members and all(kernel.spec in left for kernel in members):
            run.append((number, members))
            continue
        if len(run) > 1:
            states = {left.pop(kernel.spec) for _, of in run for kernel in of}
            [first, last] = (".".join(map(str, run[at][0])) for at in (0, -1))
            tail = f"/{arch}" if arch != DEFAULT.name else ""
            alike = next(iter(states)) if len(states) == 1 else ""
            yield f"{first}..{last}{tail}", state or (alike if alike != "kernel" else "")
        run = []


def _series(release: Numbers) -> Numbers:
    return (*release, 0, 0)[:2]
