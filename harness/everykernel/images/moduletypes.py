"""The types that a kernel's modules define, read from their .ko files: nothing boots.

A module's BTF is split: it continues its kernel's, or (Linux 6.11 and later, for modules built apart) a distilled base
of its own in section .BTF.base. Which module defines which name is read once per kernel, and kept beside it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from everykernel import cache
from everykernel.btf import Btf, image, kinds
from everykernel.errors import BtfMalformed
from everykernel.images.modules import Tree, content
from everykernel.kernels.model import Kernel

_FORMAT = 1  # of the file with the names: one of another format is as good as none
_KINDS = frozenset({kinds.STRUCT, kinds.UNION, kinds.ENUM, kinds.ENUM64, kinds.TYPEDEF})


def split(data: bytes, base: Btf | None, name: str) -> Btf | None:
    """Return the BTF of a module's ELF bytes, None if it has none.

    ``base`` is the kernel's; a module that brings a base of its own needs none. Raises BtfMalformed.
    """
    own = image.section(data, ".BTF", name=name)
    if own is None:
        return None
    distilled = image.section(data, ".BTF.base", name=name)
    if distilled is not None:
        base = Btf.parse(distilled, name=f"{name} (its base)")
    return Btf.parse(own, base=base, name=name)


def of_module(kernel: Kernel, vmlinux: Btf, module: str) -> Btf | None:
    """Return a module's BTF, None if it has none; raise KernelModuleMissing for a module that there is not."""
    path = Tree(kernel).file(module)
    return split(content(path), vmlinux, module) if path is not None else None


def known(kernel: Kernel) -> bool:
    """Whether the names were read before: to read them takes some seconds."""
    return _kept(kernel) is not None


def defining(kernel: Kernel, vmlinux: Btf, name: str) -> list[str]:
    """Return the modules that define a type of this name: first those that it is named after, ``nfs`` for nfs_inode."""
    found = _names(kernel, vmlinux).get(name, [])
    return sorted(found, key=lambda module: (not name.startswith(module), -len(module), module))


def likely(kernel: Kernel, vmlinux: Btf, name: str) -> list[str]:
    """Return what `defining` does, in a moment: where the names were not read yet, of modules named like it."""
    if known(kernel):
        return defining(kernel, vmlinux, name)
    found = []
    for module, path in Tree(kernel).files():
        if name.startswith(module):
            btf = split(content(path), vmlinux, module)
            found += [module] if btf is not None and name in _own(btf) else []
    return sorted(found, key=len, reverse=True)


def _kept(kernel: Kernel) -> Mapping[str, list[str]] | None:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(_path(kernel).read_bytes())
        if found["format"] == _FORMAT and found["release"] == kernel.release:
            names: Mapping[str, list[str]] = found["types"]
            return names
    return None


def _names(kernel: Kernel, vmlinux: Btf) -> Mapping[str, list[str]]:
    kept = _kept(kernel)
    if kept is not None:
        return kept
    types: dict[str, list[str]] = {}
    for module, path in Tree(kernel).files():
        with contextlib.suppress(BtfMalformed, OSError, EOFError):
            btf = split(content(path), vmlinux, module)
            for name in _own(btf) if btf is not None else ():
                types.setdefault(name, []).append(module)
    cache.write(_path(kernel), json.dumps({"format": _FORMAT, "release": kernel.release, "types": types}).encode())
    return types


def _own(btf: Btf) -> Iterator[str]:
    """Yield the names of a module's own types, each once."""
    yield from dict.fromkeys(
        name for n in range(btf.first, btf.count) if btf.kind(n) in _KINDS and (name := btf.name_of(n))
    )


def _path(kernel: Kernel) -> Path:
    if not kernel.source.startswith("path:"):
        return kernel.image.with_name("module-types.json")
    return cache.folder("btf") / f"{kernel.digest}.module-types.json"
