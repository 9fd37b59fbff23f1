"""The sizes of maps that a tool sets before it loads: what a case's contract says, and what an object leaves open.

Every adapter is told the same, so that loaders differ by their own rules alone. What a library sets by itself (a perf
event array's entries) is left to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from everykernel.errors import EverykernelError
from everykernel.load.rules.named import DEFAULT, RULES
from everykernel.machine import Guest
from everykernel.object import contract, read
from everykernel.object.maps import MAP_TYPE
from everykernel.object.spec import MapSpec, ObjectSpec

PAGE = 4096  # bytes, of the kernels that adapters run on: Debian's for x86_64, arm64 and s390x
DEEPEST_STACK = 127  # PERF_MAX_STACK_DEPTH: kernel.perf_event_max_stack, unless somebody writes it
_RING_BUFFERS = frozenset(MAP_TYPE[name] for name in ("ringbuf", "user_ringbuf"))
_STACK_TRACE = MAP_TYPE["stack_trace"]
_TOLD = ("max_entries", "key_size", "value_size")  # what adapters are told of a map
# Types that are sized by the libraries themselves, or have no entries to count.
_LEFT_ALONE = frozenset(
    MAP_TYPE[name]
    for name in (
        "perf_event_array", "cgroup_storage", "percpu_cgroup_storage", "sk_storage", "inode_storage",
        "task_storage", "cgrp_storage", "struct_ops", "arena",
    )
)  # fmt: skip


# Of a CPU map ebpf-go and aya count the CPUs themselves, libbpf does not.
_LEFT_TO = {MAP_TYPE["cpumap"]: ("ebpf-go", "aya")}


def of_object(data: bytes, name: str, loader: str = "") -> ObjectSpec | None:
    """Return the object as we read it, by the rules of a loader if we have them; None where only others can."""
    try:
        return read(data, name, RULES.get(loader, DEFAULT).reading)
    except EverykernelError:
        return None


def sizes(spec: ObjectSpec | None, terms: contract.Contract, guest: Guest, loader: str) -> dict[str, dict[str, int]]:
    """Return the sizes to be set, by the map's name: the contract's, and 1 entry or so where an object has none."""
    found = {name: _open(one, loader) for name, one in spec.maps.items()} if spec is not None else {}
    for name, wanted in terms.maps.items():
        pid_max = int(guest.pull("/proc/sys/kernel/pid_max")) if wanted.max_entries == "pid_max" else 0
        told = {
            "max_entries": wanted.entries(guest.facts.cpus, PAGE, pid_max),
            "key_size": wanted.key_size,
            "value_size": wanted.value_size,
        }
        found.setdefault(name, {}).update({key: size for key, size in told.items() if size is not None})
    return {name: set_ for name, set_ in found.items() if set_}


def _open(one: MapSpec, loader: str) -> dict[str, int]:
    """Return what a map's declaration leaves open."""
    found = {}
    if not one.max_entries and one.type not in _LEFT_ALONE and loader not in _LEFT_TO.get(one.type, ()):
        found["max_entries"] = PAGE if one.type in _RING_BUFFERS else 1
    if one.type == _STACK_TRACE and not one.value_size:
        found["value_size"] = 8 * DEEPEST_STACK
    return found


def not_taken(table: Mapping[str, Any]) -> list[str]:
    """Return what a contract says that adapters are not told: keys, and keys of maps."""
    keys = [key for key in table if key not in ("programs", "skip", "may_fail", "maps")]
    maps = (f"maps.{name}.{key}" for name, one in table.get("maps", {}).items() for key in one)
    return keys + [key for key in maps if key.rpartition(".")[2] not in _TOLD]
