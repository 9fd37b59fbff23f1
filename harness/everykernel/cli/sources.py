"""What a command is given: objects, BTF in files, BTF of kernels that are fetched and not booted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from everykernel import remembered, settings
from everykernel.architectures import DEFAULT
from everykernel.btf import Btf, image
from everykernel.errors import UsageError
from everykernel.matrix import inside
from everykernel.namedtuple import NamedTuple
from everykernel.object import ObjectSpec, read

if TYPE_CHECKING:
    from everykernel.kernels import Kernel


_PATIENCE = 60.0  # seconds that a target may take to answer
_MODULES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")


class Source(NamedTuple):
    """BTF with the name that the user knows it by: a file's, or a kernel's spec; then ``kernel`` is the kernel."""

    label: str
    btf: Btf
    kernel: Kernel | None = None


def read_object(path: Path) -> ObjectSpec:
    """Return the one object that a path means; raise UsageError for several, and what `read_objects` does."""
    found = read_objects(path)
    if len(found) > 1:
        remedy = f"name one: {', '.join(spec.name for spec in found)}"
        raise UsageError(f"holds {len(found)} objects", where=str(path), remedy=remedy)
    return found[0]


def read_objects(path: Path) -> list[ObjectSpec]:
    """Return a compiled object, or those inside another file (``mytool``, ``mytool:bpf``).

    Raises UsageError if it cannot be read, ObjectMalformed or ObjectUnsupported.
    """
    found = []
    for text in inside.parts(str(path), DEFAULT.byteorder):
        holder, part = inside.split(text)
        found.append(read(inside.content(holder, part) if part else read_file(holder), text))
    return found


def all_sources(btf: Sequence[str], kernel_list: str | None) -> list[Source]:
    """Return the BTF that ``--btf`` and ``--kernels`` name, in their order; without either, of the project's kernels.

    Raises UsageError if there are none.
    """
    names = list(btf)
    if kernel_list:
        from everykernel.cli.choices import specs  # with click

        names += specs(kernel_list)
    names = names or settings.read(Path.cwd()).get("kernels", [])
    if not names:
        raise UsageError("no kernels were named", remedy="--kernels 5.10,6.1,6.12, or --btf FILE")
    return list(sources(names))


def read_btf(source: str, *, base: str = "", module: str = "") -> Btf:
    """Return the one BTF that a file or a kernel spec stands for; raise what `sources` raises.

    ``base`` (a file or a kernel) is what a file's split BTF continues, ``module`` a kernel's module.
    """
    if base and Path(source).is_file():
        return _of_file(Path(source), read_btf(base))
    found = one(source)
    if not module:
        return found.btf
    if found.kernel is None:
        raise UsageError("is a file, and has no modules", where=source, remedy="name the module's file, and its --base")
    from everykernel.images import moduletypes

    types = moduletypes.of_module(found.kernel, found.btf, module)
    if types is None:
        raise UsageError(
            f"module {module!r} has no BTF of its own there", where=source, remedy="look into the kernel's"
        )
    return types


def one(source: str) -> Source:
    """Return what a file or a kernel spec stands for; raise UsageError where that is several kernels."""
    found = list(sources([source]))
    if len(found) != 1:
        raise UsageError(f"means {len(found)} kernels, and one is wanted", where=source)
    return found[0]


def sources(names: list[str]) -> Iterator[Source]:
    """Yield the BTF of each file (raw, an ELF file, a kernel image) or kernel spec; a range of kernels gives several.

    Raises UsageError where there is none, BtfMalformed for a damaged one, UnknownKernel for what is neither.
    """
    for name in names:
        path = Path(name)
        if path.is_file():
            yield Source(name, _of_file(path))
        else:
            yield from _of_kernels(name)


def _of_file(path: Path, base: Btf | None = None) -> Btf:
    if path.name.endswith(_MODULES):
        return _of_module(path, base)
    data = read_file(path)
    raw = image.extract(data, name=str(path))
    if raw is None:
        from everykernel.kernels import image as kernel_image

        raw = kernel_image.btf(data)
    if raw is None:
        raise UsageError("holds no BTF", where=str(path), remedy="give raw BTF, vmlinux, a kernel image or an object")
    return remembered.btf(raw, base=base, name=path.name)


def _of_module(path: Path, base: Btf | None) -> Btf:
    """Return the BTF of a .ko file: on its own distilled base, on the base given, or on the kernel beside it."""
    from everykernel.images import modules, moduletypes

    read_file(path)  # says why it cannot be read
    data = modules.content(path)
    if base is None and image.section(data, ".BTF.base", name=str(path)) is None:
        beside = next((p / "vmlinux.btf" for p in path.absolute().parents if (p / "vmlinux.btf").is_file()), None)
        if beside is None:
            raise UsageError("is a module, whose types continue its kernel's", where=str(path), remedy="--base 6.12")
        base = Btf.parse(read_file(beside), name="vmlinux")
    found = moduletypes.split(data, base, path.name.partition(".ko")[0])
    if found is None:
        from everykernel.load.kernel.releases import upstream

        remedy = f"modules have it {upstream('v5.11')}, where it was built in"
        raise UsageError("has no BTF", where=str(path), remedy=remedy)
    return found


def _of_kernels(name: str) -> Iterator[Source]:
    from everykernel import kernels
    from everykernel.cli.progress import shown
    from everykernel.kernels.sources import table

    if name.startswith(settings.TARGET):
        yield _of_target(name)
        return
    if not name[:1].isdigit() and name not in ("lts", "latest") and name.partition(":")[0] not in table.NAMES:
        raise UsageError("there is no such file, nor such a kernel", where=name)
    with shown() as progress:
        for resolved in kernels.resolve([name], progress):
            kernel = resolved.fetch(progress)
            raw = kernels.btf(kernel)
            if raw is None:
                raise UsageError("holds no BTF", where=resolved.spec, remedy="give a BTF made for it")
            yield Source(resolved.spec, remembered.btf(raw), kernel)


def _of_target(spec: str) -> Source:
    """Return the BTF of a machine that runs; nothing is run or loaded there."""
    from everykernel.cli.progress import shown
    from everykernel.machine import reach

    named = settings.read(Path.cwd()).get("targets", {})
    with shown() as progress:
        targets = reach([spec], named, progress, may_load=False, accept_new=False, timeout=_PATIENCE)
        assert targets is not None
        with closing(targets):
            kernel, raw = targets.btf(spec)
    if raw is None:
        raise UsageError("its kernel has no BTF", where=spec, remedy="give a BTF made for it")
    return Source(spec, Btf.parse(raw, name="vmlinux"), kernel)


def read_file(path: Path) -> bytes:
    """Return a file's bytes; raise UsageError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as e:
        raise UsageError(f"cannot be read: {e.strerror}", where=str(path)) from e
