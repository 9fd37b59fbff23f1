"""From a spec to a twin: what is built on this machine, or in one line how it would be."""

from __future__ import annotations

from everykernel import cache
from everykernel.architectures import DEFAULT
from everykernel.errors import UnknownKernel
from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.kernels.progress import Progress
from everykernel.kernels.spec import Spec
from everykernel.kernels.twins import kept, parts
from everykernel.kernels.twins.kept import Twin


def resolve(spec: Spec) -> ResolvedKernel:
    """Return the newest twin that is here and is meant; raise UnknownKernel where none is.

    A twin that was built of other fragments than there are now is none.
    """
    series, version = _split(spec.value)
    row = parts.rows().get(series)
    if row is None or spec.flavour or spec.arch != DEFAULT:
        text = f"twins are built of {', '.join(parts.rows())}, for {DEFAULT.name}, without flavours"
        known = " or ".join(f"{name}-{spec.btf}" for name in parts.rows())
        raise UnknownKernel(text, spec=spec.text, where=spec.text, remedy=f"write {known}")
    part = parts.WITHOUT if spec.btf == parts.SUPPLIED else spec.btf
    twin = kept.newest(series, part, version)
    if twin is None:
        older = kept.newest(series, part) if version else None
        have = f", only of {older.version}" if older else ""
        remedy = f"everykernel kernels build {series} builds both in about {row.minutes} minutes of a processor"
        raise UnknownKernel(f"is not built on this machine{have}", spec=spec.text, where=spec.text, remedy=remedy)
    cache.hold(twin.folder)
    return ResolvedKernel(
        spec=spec.text,
        arch=DEFAULT,
        series=series,
        version=twin.version,
        release=twin.release,
        package=twin.package,
        source=f"{parts.SOURCE}:{twin.package}",
        flavour=spec.btf,
        fetcher=lambda resolved, progress: _kernel(resolved, twin, progress),
        cached=True,
    )


def _kernel(resolved: ResolvedKernel, twin: Twin, progress: Progress) -> Kernel:
    """Return the kernel, whose image was looked at now; raise CacheError where it is not what was built."""
    twin.check()
    cache.touch(twin.folder)
    made = twin.folder / f"{twin.release}.btf"
    return Kernel(
        spec=resolved.spec,
        arch=resolved.arch,
        release=twin.release,
        image=twin.folder / "vmlinuz",
        modules=twin.folder / "lib" / "modules" / twin.release,
        config=twin.folder / "config",
        sha256=twin.sha256,
        source=resolved.source,
        signed=twin.signed,
        notes=(f"built here: {twin.package} {twin.version}, by {twin.tools}",),
        version=twin.version,
        series=twin.series,
        flavour=resolved.flavour,
        digest=twin.image,
        supplied=made if resolved.flavour == parts.SUPPLIED else None,
    )


def _split(value: str) -> tuple[str, str]:
    """Return the series and the version ("" where none) in ``6.1`` or ``6.1.192``."""
    numbers = value.split(".")
    return ".".join(numbers[:2]), value if len(numbers) > 2 else ""
