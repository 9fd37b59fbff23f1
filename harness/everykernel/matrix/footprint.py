"""How much memory an object's maps take in a guest's kernel, and how large a guest has room for them.

Worked out from the object before anything is booted, as the kernel allocates when a map is created (kernel/bpf of Linux
6.12): what is preallocated counts, what grows with use (BPF_F_NO_PREALLOC, tries, local storage, arenas) does not. It
decides no verdict: a guest that was too small is run again in a larger one. Sizes are few, for each is a snapshot of a
kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from everykernel import object as object_
from everykernel.object import contract as contract_
from everykernel.object.map_terms import MapTerms
from everykernel.object.maps import MAP_TYPE, MAP_TYPES
from everykernel.object.spec import MapSpec

SMALLEST = 256  # MiB of a guest that needs no more; each size is twice the one before
CEILING = 4096  # MiB that a guest gets at most, where the user sets nothing else

# Bytes that a real loader takes beside the agent: a Go program that parses a kernel's BTF has 90 MB (6.12).
LIBRARY = 128 << 20

_PAGE = 4096
_PID_MAX = 32768  # kernel/pid.c: with up to 32 CPUs
_RESERVE = 192  # MiB that kernel, agent and its work on an object take; measured: 151 of 256 on 6.1, 127 on 5.10
_PER_SIZE = 64  # one part in so many describes a guest's pages: struct page, 64 bytes for each of 4096
_POINTER = 8

_DEPTH = 127  # addresses of a stack without a size of its own: PERF_MAX_STACK_DEPTH
_NO_PREALLOC = 1  # BPF_F_NO_PREALLOC
_PER_CPU = 2  # mm/percpu.c keeps a pointer (obj_cgroups) for each 4 bytes of a CPU's part: two values more
_ELEMENT = 48  # struct htab_elem
_BUCKET = 16  # struct bucket of a hash
_STACK = 16  # struct stack_map_bucket before its addresses
_SLOT = 16  # struct bpf_dtab_netdev and the like, apart from the pointers to them

_HASHES = {"hash", "lru_hash", "percpu_hash", "lru_percpu_hash", "hash_of_maps"}
_GROWING = {
    "lpm_trie", "cgroup_storage", "percpu_cgroup_storage", "sk_storage", "inode_storage", "task_storage",
    "cgrp_storage", "struct_ops", "arena",
}  # fmt: skip
_POINTERS = {
    "prog_array", "perf_event_array", "cgroup_array", "array_of_maps", "devmap", "cpumap", "xskmap",
    "reuseport_sockarray",
}  # fmt: skip


def need(data: bytes, name: str, contract: Mapping[str, Any], cpus: int) -> int:
    """Return the bytes that an object's maps take once they are created; 0 for an object that cannot be read.

    Args:
        data, name: the object.
        contract: the loader contract of its case, whose sizes are taken.
        cpus: of the guest.
    """
    try:
        spec = object_.read(data, name)
        terms = contract_.parse(contract, "contract").maps
        sections = sum(_round(section.size, _PAGE) for section in spec.data.values())
        return sections + sum(_map(m, terms.get(m.name), cpus) for m in spec.maps.values())
    except Exception:  # whatever it is that is wrong with the object: the guest says so
        return 0


def _map(declared: MapSpec, terms: MapTerms | None, cpus: int) -> int:
    kind, value, entries = declared.type, declared.value_size, declared.max_entries
    key = declared.key_size
    if terms is not None:
        if not terms.create or terms.reuse:
            return 0
        kind = MAP_TYPE[terms.type] if terms.type is not None else kind
        chosen = terms.entries(cpus, _PAGE, _PID_MAX)
        entries = chosen if chosen is not None else entries
        key = terms.key_size if terms.key_size is not None else key
        value = terms.value_size if terms.value_size is not None else value
    name = MAP_TYPES[kind] if kind < len(MAP_TYPES) else ""
    if name == "stack_trace":
        value = value or _POINTER * _DEPTH
    return size(name, key, value, entries or 1, declared.flags, declared.extra, cpus)


def size(kind: str, key: int, value: int, entries: int, flags: int, extra: int, cpus: int) -> int:
    """Return the bytes that a map takes when it is created.

    Args:
        kind: its type, as `MAP_TYPES` calls it; any other takes a value an entry.
        key, value: bytes.
        entries: as the kernel is asked for.
        flags, extra: map_flags and map_extra.
        cpus: possible CPUs.
    """
    wide = _round(value, 8)
    per_cpu = _POINTER + wide * (cpus + _PER_CPU)  # a pointer to a value for each CPU
    if kind in _HASHES:
        buckets = _BUCKET * _power(entries)
        if flags & _NO_PREALLOC and not kind.startswith("lru"):
            return buckets
        held = {"hash_of_maps": _POINTER}.get(kind, per_cpu if "percpu" in kind else wide)
        return buckets + (entries + cpus) * (_ELEMENT + _round(key, 8) + held)
    if kind in _GROWING:
        return 0
    if kind in _POINTERS:
        return _POINTER * entries
    sizes: dict[str, Callable[[], int]] = {
        "array": lambda: _round(entries * wide, _PAGE),
        "percpu_array": lambda: entries * per_cpu,
        "stack_trace": lambda: _POINTER * _power(entries) + entries * (_STACK + wide),
        "ringbuf": lambda: entries + 3 * _PAGE,
        "user_ringbuf": lambda: entries + 3 * _PAGE,
        "queue": lambda: (entries + 1) * value,
        "stack": lambda: (entries + 1) * value,
        "bloom_filter": lambda: _power(entries * ((extra & 0xF) or 5) * 7 // 5) // 8,
        "sockhash": lambda: _BUCKET * _power(entries),
        "devmap_hash": lambda: _POINTER * _power(entries),
        "sockmap": lambda: _SLOT * entries,
    }
    return sizes[kind]() if kind in sizes else entries * wide


def _round(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def _power(number: int) -> int:
    """Return the power of two that is not below ``number``."""
    return 1 << max(0, number - 1).bit_length()


# ------------------------------------------------------------------------------------------------- sizes of guests


def sizes(ceiling: int) -> Iterator[int]:
    """Yield the sizes of guests in MiB, up to ``ceiling``; the smallest in any case."""
    here = SMALLEST
    while here == SMALLEST or here <= ceiling:
        yield here
        here *= 2


def room(memory: int) -> int:
    """Return the bytes that maps may take in a guest of so many MiB."""
    return (memory - _RESERVE - memory // _PER_SIZE) << 20


def fitting(needed: int, ceiling: int) -> int:
    """Return the size of the guest for maps that take ``needed`` bytes: the largest there is where none has room."""
    found = list(sizes(ceiling))
    return next((memory for memory in found if needed <= room(memory)), found[-1])


def larger(memory: int, ceiling: int) -> int | None:
    """Return the next larger size of a guest; None where there is none below the ceiling."""
    return next((found for found in sizes(ceiling) if found > memory), None)


def available(meminfo: str) -> int:
    """Return how many MiB a host has to give, by the text of its /proc/meminfo; `CEILING` where that does not tell."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return CEILING
