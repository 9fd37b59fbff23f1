"""The rules of libbpf 1.8.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from everykernel.dataclass import replace
from everykernel.load.rules.rules import Asked, Machine, Rules
from everykernel.object.maps import MAP_TYPE
from everykernel.object.spec import MapSpec

RING_BUFFERS = frozenset({MAP_TYPE["ringbuf"], MAP_TYPE["user_ringbuf"]})
NO_ENTRIES = frozenset(
    MAP_TYPE[n]
    for n in (
        "cgroup_storage", "percpu_cgroup_storage", "sk_storage", "inode_storage", "task_storage", "cgrp_storage",
        "struct_ops",
    )
)  # fmt: skip
_PERF_EVENTS = MAP_TYPE["perf_event_array"]


def ask(spec: MapSpec, machine: Machine) -> Asked:
    """Return a map as libbpf asks for it.

    Entries: 0 becomes the number of CPUs for a perf event array, and 1 elsewhere, as a tool would set them; a ring
    buffer's are rounded up to a power of two pages (adjust_ringbuf_sz).
    """
    entries = spec.max_entries
    if spec.type in RING_BUFFERS:
        size = rounded(entries, machine.page_size)
        return Asked(replace(spec, max_entries=size), f"max_entries was {entries}: {size}" if size != entries else "")
    if entries or spec.type in NO_ENTRIES:
        return Asked(spec)
    if spec.type == _PERF_EVENTS:
        note = f"max_entries was 0: {machine.cpus}, one a CPU"
        return Asked(replace(spec, max_entries=machine.cpus), note)
    return Asked(replace(spec, max_entries=1), "max_entries was 0: 1")


def rounded(entries: int, page_size: int) -> int:
    """Return the bytes of a ring buffer that holds so many: a power of two pages."""
    size = page_size
    while size < entries < 1 << 31:
        size *= 2
    return max(size, entries)


RULES = Rules(
    "libbpf",
    ask=ask,
    whole=(
        "opening", "kernel_types", "externs", "operations", "relocations", "exceptions", "btf", "maps", "programs",
        "slots",
    ),
)  # fmt: skip
