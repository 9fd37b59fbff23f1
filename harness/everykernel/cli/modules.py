"""Types that only a kernel's modules have, for objects that are looked at on kernels that are not booted."""

from __future__ import annotations

import click

from everykernel import core
from everykernel.btf import Btf
from everykernel.btf.index import essential
from everykernel.cli.sources import Source
from everykernel.core.refusal import Refused
from everykernel.images import moduletypes
from everykernel.object import ObjectSpec


def with_modules(spec: ObjectSpec, source: Source) -> core.Target:
    """Return what an object is relocated against: the kernel's types, and of its modules what it needs and lacks."""
    return core.Target(source.btf, lambda: _modules(spec, source))


def _modules(spec: ObjectSpec, source: Source) -> list[Btf]:
    """Return the BTF of the modules that define what an object asks for and vmlinux does not have, by their names."""
    kernel, local = source.kernel, spec.btf
    if kernel is None or kernel.modules is None or local is None:
        return []
    vmlinux = core.Target(source.btf)
    names: dict[str, None] = {}
    for function in spec.functions.values():
        for _, record in function.core:
            try:
                if not vmlinux.candidates(local, record.type_id):
                    names[essential(local.name_of(record.type_id))] = None
            except Refused:
                continue
    found: dict[str, Btf] = {}
    for name in names:
        for module in defining(source, name)[:1]:
            btf = moduletypes.of_module(kernel, source.btf, module)
            if btf is not None:
                found[module] = btf
    return [btf for _, btf in sorted(found.items())]


def defining(source: Source, name: str) -> list[str]:
    """Return the modules of a kernel that define a type of this name, the likeliest first; [] of a mere file."""
    kernel = source.kernel
    if kernel is None or kernel.modules is None:
        return []
    if not moduletypes.known(kernel):
        click.echo(f"everykernel: {source.label}: reading the types of its modules, once", err=True)
    return moduletypes.defining(kernel, source.btf, name)
