"""Creating maps as an object declares them, and telling why the kernel refuses one.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING, Optional

from everykernel import wire
from everykernel.load.kernel.reason import Reason
from everykernel.load.kernel.releases import since
from everykernel.load.maps import pins
from everykernel.load.maps.map import ARRAY, PERF_EVENT_ARRAY, Map
from everykernel.load.system import abi
from everykernel.load.system.errnos import ENOTSUPP, error_name
from everykernel.object.maps import MAP_TYPE
from everykernel.object.spec import DataSection, MapSpec

if TYPE_CHECKING:
    from everykernel.btf import Btf
    from everykernel.load.kernel.operations import Operations
    from everykernel.load.kernel.probes import Probes
    from everykernel.load.system.door import System

RING_BUFFERS = frozenset({MAP_TYPE["ringbuf"], MAP_TYPE["user_ringbuf"]})
# Types whose keys and values the kernel does not describe by BTF: libbpf leaves the types out (bpf_object__create_map).
_NO_BTF = frozenset(
    MAP_TYPE[n]
    for n in (
        "perf_event_array", "cgroup_array", "stack_trace", "array_of_maps", "hash_of_maps", "devmap", "devmap_hash",
        "cpumap", "xskmap", "sockmap", "sockhash", "queue", "stack", "arena", "ringbuf", "user_ringbuf", "prog_array",
    )
)  # fmt: skip
PERCPU_ARRAY = MAP_TYPE["percpu_array"]
_ARENA, _STACK_TRACE = MAP_TYPE["arena"], MAP_TYPE["stack_trace"]
_NO_ENTRIES = frozenset(
    MAP_TYPE[n]
    for n in (
        "cgroup_storage", "percpu_cgroup_storage", "sk_storage", "inode_storage", "task_storage", "cgrp_storage",
        "struct_ops",
    )
)  # fmt: skip


def create(map_: Map, probes: Probes, btf_fd: int) -> None:
    """Create a map as declared; its record tells what came of it.

    Entries: 0 becomes the number of CPUs for a perf event array and 1 elsewhere, a ring buffer's are rounded up to a
    power of two pages (libbpf's adjust_ringbuf_sz); stacks without a size of their own get room for the deepest that
    the kernel takes. All is noted. An arena has to be mapped before programs use it.
    """
    record, system = map_.record, map_.system
    entries, note = entries_of(map_.spec, system)
    record["max_entries"] = entries
    if note:
        record["note"] = note
    if map_.spec.type == _STACK_TRACE and not map_.spec.value_size:
        size = record["value_size"] = 8 * _stack_depth(system)
        map_.spec = replace(map_.spec, value_size=size)
        record["note"] = ", ".join(filter(None, (note, f"value_size was 0: {size}, the deepest stack of this kernel")))
    spec = map_.spec
    if spec.reuse:
        pins.replace(map_)
        return
    if spec.pinning and pins.reuse(map_):
        return
    if spec.type == _ARENA and len(spec.content) > entries * system.page_size:
        told = f"its variables take {len(spec.content)} bytes, its {entries} pages have fewer"
        absent(map_, Reason("limit-exceeded", told))
        return
    inner = -1
    try:
        if spec.inner is not None:
            entries_, _ = entries_of(spec.inner, system)
            inner = _create(system, _attributes(spec.inner, entries_, f"{map_.name}.inner", _types(spec.inner, btf_fd)))
        attributes = _attributes(spec, entries, map_.name, _types(spec, btf_fd))
        map_.fd = _create(map_.system, attributes._replace(inner_fd=max(inner, 0)))
        if spec.type == _ARENA:
            map_.memory = system.map(map_.fd, entries * system.page_size)
            map_.memory[: len(spec.content)] = spec.content
    except OSError as e:
        _refused(map_, probes, e)
    finally:
        if inner >= 0:
            system.close(inner)
    if spec.pinning and map_.fd >= 0:
        pins.pin(map_)


def create_operations(map_: Map, operations: Operations, probes: Probes, btf_fd: int, *, link: bool) -> None:
    """Create the map of an operations struct; ``link``: it will be attached by a link.

    The kernel wants the object's BTF too, though the value is a struct of its own.
    """
    spec, record = map_.spec, map_.record
    record["max_entries"], record["value_size"] = 1, len(operations.value)
    flags = (abi.F_LINK if link else 0) | (abi.F_VTYPE_BTF_OBJ_FD if operations.btf_fd else 0)
    attributes = _attributes(spec, 1, map_.name, 0)._replace(
        value_size=len(operations.value),
        flags=flags,
        btf_fd=btf_fd,
        kernel_value_type=operations.value_type,
        value_btf_fd=operations.btf_fd,
    )
    try:
        map_.fd = map_.system.bpf(abi.MAP_CREATE, attributes.fields())
    except OSError as e:
        _refused(map_, probes, e)
        if link and _creates(map_.system, attributes._replace(flags=flags & ~abi.F_LINK)):
            record["code"] = "attach-type-unsupported"
            record["message"] = f"map {map_.name!r}: {record['errno']}: this kernel has no links of operations structs"


def _creates(system: System, attributes: abi.MapAttributes) -> bool:
    try:
        system.close(system.bpf(abi.MAP_CREATE, attributes.fields()))
    except OSError:
        return False
    return True


def leave_out(map_: Map, why: str = "by the contract", code: str = "") -> None:
    """Write down that a map is not made, because the contract says so or for what the kernel lacks."""
    map_.record["status"], map_.record["code"] = wire.SKIPPED, code
    map_.record["message"] = f"map {map_.name!r}: left out {why}"


def absent(map_: Map, reason: Reason) -> None:
    """Write down why a map cannot even be asked for."""
    map_.record["status"], map_.record["code"] = wire.FAILED, reason.code
    map_.record["message"] = f"map {map_.name!r}: {reason.message}"


def _types(spec: MapSpec, btf_fd: int) -> int:
    """Return the descriptor of the object's BTF if the kernel is to know the map's types, else 0."""
    return btf_fd if spec.type not in _NO_BTF and (spec.key_type or spec.value_type) else 0


def entries_of(spec: MapSpec, system: System) -> tuple[int, str]:
    """Return how many entries a map gets, and a note where that is not what it declares."""
    entries = spec.max_entries
    if spec.type in RING_BUFFERS:
        size = system.page_size
        while size < entries < 1 << 31:
            size *= 2
        size = max(size, entries)
        return size, f"max_entries was {entries}: {size}" if size != entries else ""
    if entries or spec.type in _NO_ENTRIES:
        return entries, ""
    if spec.type == PERF_EVENT_ARRAY:
        cpus = len(system.cpus())
        return cpus, f"max_entries was 0: {cpus}, one a CPU"
    return 1, "max_entries was 0: 1"


def _stack_depth(system: System) -> int:
    """Return how many addresses a stack trace may have: the kernel refuses maps with more (stack_map_alloc)."""
    try:
        return int(system.read("/proc/sys/kernel/perf_event_max_stack"))
    except FileNotFoundError:  # a kernel without perf events, and so without such maps
        return 127  # PERF_MAX_STACK_DEPTH


def _attributes(spec: MapSpec, entries: int, name: str, btf_fd: int) -> abi.MapAttributes:
    return abi.MapAttributes(
        spec.type,
        spec.key_size,
        spec.value_size,
        entries,
        spec.flags,
        numa_node=spec.numa_node,
        name=abi.object_name(name),
        btf_fd=btf_fd,
        key_type=spec.key_type if btf_fd else 0,
        value_type=spec.value_type if btf_fd else 0,
        extra=spec.extra,
    )


def _create(system: System, attributes: abi.MapAttributes) -> int:
    """Create a map; where the kernel refuses its types, without them (as libbpf does)."""
    try:
        return system.bpf(abi.MAP_CREATE, attributes.fields())
    except OSError:
        if not attributes.btf_fd:
            raise
    return system.bpf(abi.MAP_CREATE, attributes._replace(btf_fd=0, key_type=0, value_type=0).fields())


def _refused(map_: Map, probes: Probes, error: OSError) -> None:
    """Write down why a map was refused."""
    record, kind = map_.record, map_.record["type"]
    record["status"] = wire.FAILED
    record["errno"] = name = error_name(error.errno)
    if error.errno == errno.EPERM:
        record["code"], why = "permission-denied", "the kernel denies it to this caller"
    elif error.errno in (errno.EINVAL, errno.EOPNOTSUPP, ENOTSUPP) and not probes.map_type(map_.spec.type):
        record["code"], why = (
            "map-type-unsupported",
            f"this kernel does not know map type {kind}{since('map', map_.spec.type)}",
        )
    elif error.errno in (errno.E2BIG, errno.ENOMEM):
        sizes = f"{record['max_entries']} entries of {map_.spec.value_size} bytes"
        record["code"] = "limit-exceeded"
        why = f"there is no memory for {sizes}" if error.errno == errno.ENOMEM else f"{sizes} are too many"
    else:
        spec = map_.spec
        record["code"] = "map-create-failed"
        sizes = f"key {spec.key_size}, value {spec.value_size} bytes"
        why = f"the kernel refuses a {kind} of {record['max_entries']} entries, {sizes}"
        if spec.type == PERF_EVENT_ARRAY and (spec.key_size, spec.value_size) != (4, 4):
            why += ": it takes keys and values of 4 bytes (cilium/ebpf sets these, libbpf asks for what is declared)"
        elif spec.type in RING_BUFFERS and (spec.key_size or spec.value_size):
            why += ": it takes neither keys nor values (cilium/ebpf drops them, libbpf asks for what is declared)"
        plain = replace(spec, flags=spec.flags & ~abi.F_RB_OVERWRITE)
        entries, _ = entries_of(plain, map_.system)
        if plain != spec and _creates(map_.system, _attributes(plain, entries, "", 0)):
            why = "this kernel does not know map flag BPF_F_RB_OVERWRITE (Linux has it since v6.19)"
    record["message"] = f"map {map_.name!r}: {name}: {why}"


def data_map(section: DataSection, btf: Optional[Btf], system: System) -> Map:
    """Return the map (not created yet) that stands for a section of global variables: an array of one entry."""
    flags = abi.F_RDONLY_PROG if section.read_only else 0
    if section.shared and not section.percpu:
        flags |= abi.F_MMAPABLE
    type_ = PERCPU_ARRAY if section.percpu else ARRAY
    spec = MapSpec(section.name, type_, 4, section.size, 1, flags, value_type=section.type_id)
    return Map(section.name, spec, btf, system)


def create_data(map_: Map, probes: Probes, btf_fd: int, title: str, data: bytes) -> None:
    """Create and fill the map of a section of global variables; freeze a read-only one.

    ``data`` may be empty: zeros. Where the kernel cannot map arrays into memory (before Linux commit fc9702273e2e, in
    v5.5) it is created without.
    """
    spec = map_.spec
    attributes = _attributes(spec, 1, title, btf_fd if spec.value_type else 0)
    try:
        try:
            map_.fd = _create(map_.system, attributes)
        except OSError:
            if not spec.flags & abi.F_MMAPABLE:
                raise
            map_.spec = replace(spec, flags=spec.flags & ~abi.F_MMAPABLE)
            map_.fd = _create(map_.system, attributes._replace(flags=spec.flags & ~abi.F_MMAPABLE))
        key, value = bytearray(4), bytearray(data)
        if any(data):
            flags = abi.F_ALL_CPUS if spec.type == PERCPU_ARRAY else 0
            map_.system.bpf(abi.MAP_UPDATE_ELEM, abi.element(map_.fd, key, value, flags))
        if spec.flags & abi.F_RDONLY_PROG:
            try:
                map_.system.bpf(abi.MAP_FREEZE, abi.words(map_.fd))
            except OSError as e:
                if e.errno != errno.EINVAL:  # it freezes no maps: before Linux commit 87df15de441b (v5.2)
                    raise
    except OSError as e:
        _refused(map_, probes, e)
