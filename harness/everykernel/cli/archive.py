"""What ``everykernel btf archive`` works on: kernels, their whole BTFs, and the tree that is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from everykernel import cache, kernels
from everykernel.btf import Btf
from everykernel.cli import say
from everykernel.cli.progress import shown
from everykernel.errors import UnknownKernel, UsageError
from everykernel.kernels import btfhub
from everykernel.kernels.model import Kernel
from everykernel.kernels.supplied import Supply, for_kernel


def resolved(specs: Sequence[str], *, skip: bool) -> list[Kernel]:
    """Return the kernels, fetched, each once; ``skip``: say of one that no source has, and go on."""
    found: dict[tuple[str, str, str], Kernel] = {}
    with shown() as progress:
        for spec in specs:
            try:
                for one in kernels.resolve([spec], progress):
                    kernel = one.fetch(progress)
                    found.setdefault((kernel.arch.name, kernel.source, kernel.release), kernel)
            except UnknownKernel as e:
                if not skip:
                    raise
                say.talk(f"everykernel: {e}")
    return list(found.values())


def whole(kernel: Kernel, supplies: Sequence[Supply]) -> Btf:
    """Return all of a kernel's BTF: its own, else what was supplied for it; raise UsageError where there is none."""
    raw = kernels.btf(kernel)
    if raw is None:
        found, why = for_kernel(supplies, kernel.spec, kernel.release, kernel.arch, kernel.source)
        if found is None:
            said = "; ".join(why) or "none was supplied for it"
            remedy = f"--btf {kernel.spec}=PATH"
            raise UsageError(f"has no BTF of its own, and {said}", where=kernel.spec, remedy=remedy)
        raw = found.data
    return Btf.parse(raw, name="vmlinux")


def write(top: Path, kernel: Kernel, data: bytes, *, packed: bool) -> Path:
    """Write a kernel's BTF where the layout has it below ``top``, in place of an older one; return its path."""
    place = top / btfhub.place(kernel.source, kernel.arch, kernel.release)
    archive = place.with_name(place.name + btfhub.PACKED.removeprefix(btfhub.RAW))
    path, other = (archive, place) if packed else (place, archive)
    with cache.explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with cache.write_atomically(path) as file:
            file.write(btfhub.pack(place.name, data) if packed else data)
        other.unlink(missing_ok=True)  # of an earlier run: both would be read, and may differ
    return path
