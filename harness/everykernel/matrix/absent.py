"""Types that a program reaches and its kernel lacks, and that a module of that very kernel has: named, with the remedy.

The guest knows the modules that are loaded; which of the others would have a type stands in the kernel's package.
"""

from __future__ import annotations

import re

from everykernel import wire
from everykernel.btf import Btf
from everykernel.kernels.model import Kernel

_ABSENT = re.compile(r"the kernel has no (?:struct |union |enum )?([A-Za-z_]\w*)")


def name_modules(load: wire.Stage, kernel: Kernel) -> None:
    """Turn the verdict on each program that lacks a module's type into ``module-missing``; the stage's verdict too."""
    vmlinux: Btf | None = None
    for program in load.get("programs", []):
        found = _ABSENT.search(program.get("message", ""))
        if program.get("code") != "relocation-unresolved" or found is None or kernel.modules is None:
            continue
        vmlinux = vmlinux or _vmlinux(kernel)
        module = _module(kernel, vmlinux, found[1]) if vmlinux is not None else ""
        if not module:
            continue
        before = f"{program['name']}: {program['message']}"
        program["code"] = "module-missing"
        remedy = f', its module {module} has [modules = ["{module}"] in the case\'s machine]'
        message = program["message"]
        program["message"] = message[: found.end()] + remedy + message[found.end() :]
        if load.get("message") == before:
            load.update({"code": "module-missing", "message": f"{program['name']}: {program['message']}"})


def _vmlinux(kernel: Kernel) -> Btf | None:
    from everykernel import kernels

    raw = kernels.btf(kernel)
    return Btf.parse(raw) if raw is not None else None


def _module(kernel: Kernel, vmlinux: Btf, name: str) -> str:
    from everykernel.images import moduletypes

    return next(iter(moduletypes.likely(kernel, vmlinux, name)), "")
