"""Kernels of the user's own: a bootable image, or the build directory of a kernel."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from everykernel import cache
from everykernel.architectures import ARCHITECTURES, Architecture
from everykernel.errors import UnknownKernel, UsageError
from everykernel.kernels import image
from everykernel.kernels.model import Kernel, ResolvedKernel
from everykernel.kernels.spec import Spec, expand

# Where a build leaves its bootable image, the first that is there (Linux arch/*/boot/Makefile); and its name beside its
# modules, in lib/modules/RELEASE (Debian from 7.2 on, Fedora).
_BUILT = ("arch/x86/boot/bzImage", "arch/arm64/boot/Image", "arch/arm/boot/zImage", "arch/s390/boot/bzImage")
_INSTALLED = "vmlinuz"


def resolve(spec: Spec) -> ResolvedKernel:
    """Return the kernel at a path.

    Raises:
        UnknownKernel: there is nothing, or no image in the directory.
        UsageError: the file is no image that boots here.
    """
    path = expand(spec.value)
    try:
        file = _image(path, spec)
        seen = image.inspect(_read(file), str(file))
    except (OSError, ValueError) as e:  # a NUL byte is a ValueError
        remedy = "look at the path; it starts at the current folder"
        raise UnknownKernel(
            getattr(e, "strerror", None) or str(e), spec=spec.text, where=spec.text, remedy=remedy
        ) from e
    arch = _architecture(seen.uname, file)
    series = re.match(r"\d+\.\d+", seen.release)
    return ResolvedKernel(
        spec=spec.text,
        arch=arch,
        series=series[0] if series else "",
        version=seen.release,
        release=seen.release,
        package="",
        source=f"path:{spec.value}",
        flavour="",
        fetcher=lambda resolved, progress: _kernel(resolved, path, file),
        cached=True,
    )


def _image(path: Path, spec: Spec) -> Path:
    if not path.is_dir():
        return path
    for name in (*_BUILT, _INSTALLED):
        if (path / name).is_file():
            return path / name
    raise UnknownKernel(
        "the directory has no bootable kernel image",
        spec=spec.text,
        where=spec.text,
        remedy=f"build one there (make bzImage gives {_BUILT[0]}), or give the image's own path",
    )


def _read(file: Path) -> bytes:
    """Return an image's bytes; raise UsageError for more than any image has, or for what is no file (a device)."""
    if not file.is_file() and file.exists():
        raise UsageError("is no regular file", where=str(file), remedy="give a bzImage, vmlinuz or Image")
    if file.stat().st_size > image.LARGEST:
        raise UsageError(f"has more than {image.LARGEST >> 20} MiB, which no kernel image has", where=str(file))
    return file.read_bytes()


def _architecture(uname: str, file: Path) -> Architecture:
    for row in ARCHITECTURES.values():
        if row.uname == uname:
            return row
    remedy = f"the architectures are {', '.join(ARCHITECTURES)}"
    raise UsageError(f"is a kernel for {uname}, which is not supported", where=str(file), remedy=remedy)


def _kernel(resolved: ResolvedKernel, path: Path, file: Path) -> Kernel:
    """Return the kernel as it is now: a path may hold another build than when it was resolved."""
    try:
        data = _read(file)
    except OSError as e:
        raise UnknownKernel(e.strerror or str(e), spec=resolved.spec, where=str(file)) from e
    digest = hashlib.sha256(data).hexdigest()
    release = image.inspect(data, str(file)).release
    modules, notes = _modules(path, release)
    return Kernel(
        spec=resolved.spec,
        arch=resolved.arch,
        release=release,
        image=file.absolute(),
        modules=modules,
        config=_config(path, file, release),
        sha256=digest,
        source=resolved.source,
        signed="none",
        notes=notes,
        version=release,
        series=resolved.series,
        digest=digest,
    )


def _modules(path: Path, release: str) -> tuple[Path | None, tuple[str, ...]]:
    """Return an installed modules folder of this release in or beside the path, and notes where there is none."""
    top = path.absolute() if path.is_dir() else path.absolute().parent
    if top.name == release and (top / "kernel").is_dir():
        return top, ()
    for above in (top, top.parent):
        for folder in (above / "lib/modules" / release, above / "usr/lib/modules" / release):
            if folder.is_dir():
                return folder, ()
    hint = (
        f"make modules_install INSTALL_MOD_PATH={top}"
        if path.is_dir()
        else f"put them into {top}/lib/modules/{release}"
    )
    return None, (f"no modules found ({hint})",)


def _config(path: Path, file: Path, release: str) -> Path | None:
    for candidate in (path / ".config", file.parent / f"config-{release}", file.parent / "config"):
        if candidate.is_file():
            return candidate.absolute()
    return None


def btf_path(kernel: Kernel) -> Path | None:
    """Return a file with the BTF inside the image at a path, kept in the cache by the image's SHA-256."""
    kept = cache.entry("btf", f"{kernel.digest}.btf")
    if not kept.exists():
        cache.write(kept, image.btf(_read(kernel.image)) or b"")
    cache.touch(kept)
    return kept if kept.stat().st_size else None
