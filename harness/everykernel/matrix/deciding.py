"""What decides a cell, as one hash: where it is the same, the verdict would be.

All of it counts by its bytes: the machine (kernel, guest image, our code in it, emulator, accelerator), our code here,
the object and those beside it, the check, the BTF that was supplied, the loader's adapter, and every other field of the
case that is not in `_NAMES`. What cannot be hashed is `Undecided`: such a cell is run.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from everykernel import folders, kernels
from everykernel.kernels.model import Kernel
from everykernel.kernels.supplied import Supply, for_kernel
from everykernel.loaders.adapter import Adapter
from everykernel.machine.snapshots import digest as digest_of_file
from everykernel.matrix.case import Case
from everykernel.matrix.cell import FAILED_LINE
from everykernel.matrix.command import Command
from everykernel.matrix.sizing import Granted
from everykernel.matrix.supply import with_own

FORMAT = 1  # of the records that are kept: raise it when they change otherwise than by a field more

# Fields of a case that only name things, or whose content is read in `_content`.
_NAMES = {
    "name", "path", "object", "beside", "shown", "description", "check", "btf", "machine", "loaders", "adapter",
    "command",
}  # fmt: skip
# Fields of a kernel that are told anew of each run, or whose content is a part of what decides its machine.
_OF_KERNEL = {"arch", "image", "modules", "config", "source", "signed", "notes", "series", "supplied"}
_SHOWING = ("bench", "cli", "comparing", "gates", "plugin", "project", "report")  # rooms that decide no cell
_SOURCES = (".py", ".toml", ".json")


class Undecided(Exception):
    """Something that decides a cell cannot be hashed."""


def key(machine: str | None, kernel: Kernel, granted: Granted, supplies: Sequence[Supply]) -> str:
    """Return the SHA-256 (hex) of all that decides a cell.

    Args:
        machine: what decides its guests (`machine.MachineSource.decides`), None where nobody can tell.
        kernel: the kernel, fetched.
        granted: the case, and what it is run with at first.
        supplies: BTF that was supplied for kernels without.

    Raises:
        Undecided: something cannot be hashed.
        EverykernelError, OSError: something cannot be read; the cell itself will say so.
    """
    if machine is None:
        raise Undecided("the kernel is not ours to know")
    case = granted.case
    told = {field.name: getattr(kernel, field.name) for field in fields(kernel) if field.name not in _OF_KERNEL}
    named = {field.name: getattr(case, field.name) for field in fields(case) if field.name not in _NAMES}
    found = {
        "format": FORMAT,
        "code": our_code(),
        "machine": machine,
        "kernel": plain([kernel.arch.name, told]),
        "modules": _modules(kernel) if kernel.source.startswith("path:") else "",
        "granted": plain([granted.machine, granted.notes]),
        "case": plain(named),
        "content": plain(_content(case, kernel)),
        "btf": plain(_btf(case, kernel, supplies)),
    }
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Return a value as JSON that is another for every other value; raise Undecided for what has no such form."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return [[name, plain(value[name])] for name in sorted(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, {f.name: plain(getattr(value, f.name)) for f in fields(value)}]
    raise Undecided(f"a {type(value).__name__} has no form that could be compared")


def _content(case: Case, kernel: Kernel) -> list[Any]:
    """Return what a case's files hold, and what of their names a record may quote."""
    if case.command is not None:
        return ["command", *_command(case.command, kernel)]
    arch = kernel.arch
    name, data = case.object_data(arch)
    asserts = case.source_line(arch, 0) if FAILED_LINE.encode() in data else ""
    found: list[Any] = [name, data, case.beside_data(arch), asserts, _adapter(case.adapter)]
    if case.check is not None:
        found += [str(case.folder / case.check.name), case.check.read_bytes()]
    return found


def _adapter(adapter: Adapter | None) -> list[str]:
    if adapter is None:
        return []
    if not adapter.sha256:
        raise Undecided(f"loader {adapter.name} has no digest")
    return [adapter.name, adapter.version, adapter.sha256]


def _command(command: Command, kernel: Kernel) -> list[Any]:
    """Return a command with every file that travels with it."""
    if command.headers:
        raise Undecided("the kernel's headers come from elsewhere")
    tree = command.tree(kernel.arch)
    files = [
        [item.path, item.mode, item.link, digest_of_file(item.source) if item.source is not None else ""]
        for item in tree.items.values()
    ]
    told = [command.argv, command.started(kernel.arch), command.exit, command.stdout, command.stderr, command.env]
    return [told, files, tree.binds]


def _btf(case: Case, kernel: Kernel, supplies: Sequence[Supply]) -> list[Any]:
    """Return the BTF that is used where the kernel's own is not, and what the record says of it."""
    every = [*supplies, case.btf] if case.btf is not None else list(supplies)
    mine = [supply for supply in with_own(every, kernel) if supply.spec in ("", kernel.spec)]
    if not mine:
        return []
    if not case.btf_always and _has_btf(kernel):
        return ["not used", *(supply.name for supply in mine if supply.spec)]
    found, notes = for_kernel(mine, kernel.spec, kernel.release, kernel.arch, kernel.source)
    return [notes, *([found.name, found.data] if found is not None else [])]


@functools.cache
def _has_btf(kernel: Kernel) -> bool:
    return kernels.btf_path(replace(kernel, supplied=None)) is not None


@functools.cache
def _modules(kernel: Kernel) -> str:
    """Return what tells one folder of modules of the user's own from another, without reading all of them."""
    if kernel.modules is None:
        return ""
    told = []
    for path in sorted(kernel.modules.rglob("*.ko*")):
        status = path.stat()
        told.append([str(path.relative_to(kernel.modules)), status.st_size, status.st_mtime_ns])
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


@functools.cache
def our_code() -> str:
    """Return the SHA-256 (hex) of all our code that has a part in a verdict."""
    top = folders.package()
    hashed = hashlib.sha256()
    for path in sorted(top.rglob("*")):
        name = path.relative_to(top)
        if path.suffix in _SOURCES and name.parts[0] not in _SHOWING:
            data = path.read_bytes()
            hashed.update(f"{name.as_posix()}\0{len(data)}\0".encode() + data)
    return hashed.hexdigest()
