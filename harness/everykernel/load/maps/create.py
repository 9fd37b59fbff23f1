"""Creating maps as an object declares them, and telling why the kernel refuses one.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Optional

from everykernel import wire
from everykernel.dataclass import replace
from everykernel.load.kernel.reason import Reason
from everykernel.load.kernel.releases import MAP_FLAGS, since, upstream
from everykernel.load.maps import pins
from everykernel.load.maps.map import ARRAY, PERF_EVENT_ARRAY, Map
from everykernel.load.rules.rules import Machine, MapRefused
from everykernel.load.system import abi
from everykernel.load.system.errnos import ENOTSUPP, error_name
from everykernel.object.maps import MAP_TYPE
from everykernel.object.spec import DataSection, MapSpec

if TYPE_CHECKING:
    from everykernel.btf import Btf
    from everykernel.load.kernel.operations import Operations
    from everykernel.load.kernel.probes import Probes
    from everykernel.load.rules.rules import Rules
    from everykernel.load.system.door import System

_UNKNOWN = (errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP, ENOTSUPP)  # E2BIG: map_extra, before there was one
_RING_BUFFERS = frozenset({MAP_TYPE["ringbuf"], MAP_TYPE["user_ringbuf"]})
PERCPU_ARRAY = MAP_TYPE["percpu_array"]
_ARENA, _STACK_TRACE = MAP_TYPE["arena"], MAP_TYPE["stack_trace"]


def create(map_: Map, probes: Probes, btf_fd: int, rules: Rules) -> None:
    """Create a map as a loader with these rules asks for it; its record tells what came of it.

    Stacks without a size of their own get room for the deepest that the kernel takes, where a tool can set it. What is
    decided is noted. An arena has to be mapped before programs use it, at its ``map_extra`` if it has one: the kernel
    takes no other address (arena_get_unmapped_area).
    """
    record, system = map_.record, map_.system
    try:
        map_.spec, note = rules.ask(map_.spec, machine_of(system))
    except MapRefused as e:
        absent(map_, Reason("map-create-failed", str(e)))
        return
    entries = map_.spec.max_entries
    record["key_size"], record["value_size"], record["max_entries"] = map_.spec.key_size, map_.spec.value_size, entries
    if note:
        record["note"] = note
    if map_.spec.type == _STACK_TRACE and not map_.spec.value_size and "value_size" in rules.settable:
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
    name = map_.name if probes.names() else ""
    inner = -1
    try:
        if spec.inner is not None:
            held, _ = rules.ask(spec.inner, machine_of(system))
            inner = _create(system, _typed(held, f"{name}.inner" if name else "", btf_fd, rules), rules)
        attributes = _typed(spec, name, btf_fd, rules)
        map_.fd = _create(map_.system, attributes._replace(inner_fd=max(inner, 0)), rules)
        if spec.type == _ARENA and rules.maps_arenas:
            _map_arena(map_)
    except MapRefused as e:
        absent(map_, Reason("map-create-failed", f"inner map: {e}"))
    except OSError as e:
        _refused(map_, probes, e)
    finally:
        if inner >= 0:
            system.close(inner)
    if spec.pinning and map_.fd >= 0:
        pins.pin(map_)


def _map_arena(map_: Map) -> None:
    """Map an arena, and set its variables to their first values."""
    spec, system = map_.spec, map_.system
    try:
        map_.memory = system.map(map_.fd, spec.max_entries * system.page_size, address=spec.extra)
    except OSError as e:
        absent(map_, Reason("map-create-failed", f"it cannot be mapped at {spec.extra:#x}: {error_name(e.errno)}"))
        map_.record["errno"] = error_name(e.errno)
        return
    map_.memory[: len(spec.content)] = spec.content


def create_operations(map_: Map, operations: Operations, probes: Probes, btf_fd: int, *, link: bool) -> None:
    """Create the map of an operations struct; ``link``: it will be attached by a link.

    The kernel wants the object's BTF too, though the value is a struct of its own.
    """
    spec, record = map_.spec, map_.record
    record["max_entries"], record["value_size"] = 1, len(operations.value)
    flags = (abi.F_LINK if link else 0) | (abi.F_VTYPE_BTF_OBJ_FD if operations.btf_fd else 0)
    attributes = _attributes(spec, map_.name, 0)._replace(
        max_entries=1,
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


def _typed(spec: MapSpec, name: str, btf_fd: int, rules: Rules) -> abi.MapAttributes:
    """Return what the kernel is asked for, with the map's types if it is to know them."""
    if spec.type in rules.untyped or not (spec.key_type or spec.value_type):
        return _attributes(spec, name, 0)
    if not btf_fd and not rules.types_optional:  # then the kernel finds no BTF, and refuses the map
        return _attributes(spec, name, 0)._replace(key_type=spec.key_type, value_type=spec.value_type)
    return _attributes(spec, name, btf_fd)


def machine_of(system: System) -> Machine:
    """Return what the sizes of maps may depend on."""
    return Machine(len(system.cpus()), system.page_size)


def _stack_depth(system: System) -> int:
    """Return how many addresses a stack trace may have: the kernel refuses maps with more (stack_map_alloc)."""
    try:
        return int(system.read("/proc/sys/kernel/perf_event_max_stack"))
    except FileNotFoundError:  # a kernel without perf events, and so without such maps
        return 127  # PERF_MAX_STACK_DEPTH


def _attributes(spec: MapSpec, name: str, btf_fd: int) -> abi.MapAttributes:
    return abi.MapAttributes(
        spec.type,
        spec.key_size,
        spec.value_size,
        spec.max_entries,
        spec.flags,
        numa_node=spec.numa_node,
        name=abi.object_name(name),
        btf_fd=btf_fd,
        key_type=spec.key_type if btf_fd else 0,
        value_type=spec.value_type if btf_fd else 0,
        extra=spec.extra,
    )


def _create(system: System, attributes: abi.MapAttributes, rules: Rules) -> int:
    """Create a map; where the kernel refuses its types, without them, if the loader does so."""
    try:
        return system.bpf(abi.MAP_CREATE, attributes.fields())
    except OSError:
        if not attributes.btf_fd or not rules.types_optional:
            raise
    return system.bpf(abi.MAP_CREATE, attributes._replace(btf_fd=0, key_type=0, value_type=0).fields())


def _refused(map_: Map, probes: Probes, error: OSError) -> None:
    """Write down why a map was refused."""
    record, kind = map_.record, map_.record["type"]
    record["status"] = wire.FAILED
    record["errno"] = name = error_name(error.errno)
    if error.errno == errno.EPERM:
        record["code"], why = "permission-denied", "the kernel denies it to this caller"
    elif error.errno in _UNKNOWN and not probes.map_type(map_.spec.type):
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
        elif spec.type in _RING_BUFFERS and (spec.key_size or spec.value_size):
            why += ": it takes neither keys nor values (cilium/ebpf drops them, libbpf asks for what is declared)"
        for flag, (flag_name, release) in MAP_FLAGS.items():
            plain = replace(spec, flags=spec.flags & ~flag)
            if plain != spec and _creates(map_.system, _attributes(plain, "", 0)):
                why = f"this kernel takes the map only without flag {flag_name} ({upstream(release)})"
    record["message"] = f"map {map_.name!r}: {name}: {why}"


def data_map(section: DataSection, btf: Optional[Btf], system: System) -> Map:
    """Return the map (not created yet) that stands for a section of global variables: an array of one entry."""
    flags = abi.F_RDONLY_PROG if section.read_only else 0
    if section.shared and not section.percpu:
        flags |= abi.F_MMAPABLE
    type_ = PERCPU_ARRAY if section.percpu else ARRAY
    spec = MapSpec(section.name, type_, 4, section.size, 1, flags, value_type=section.type_id)
    return Map(section.name, spec, btf, system)


def without_variables(map_: Map, probes: Probes) -> bool:
    """Leave out the map of a section of global variables where the kernel has none, as libbpf does; return whether."""
    percpu = map_.spec.type == PERCPU_ARRAY
    there = probes.percpu_data() if percpu else probes.global_data()
    what = ("variables per CPU", "v7.3") if percpu else ("global variables", "v5.2")
    if not there:
        leave_out(map_, f"as this kernel has no {what[0]} ({upstream(what[1])})", "map-type-unsupported")
    return not there


def create_data(map_: Map, probes: Probes, btf_fd: int, title: str, data: bytes, rules: Rules) -> None:
    """Create and fill the map of a section of global variables; freeze a read-only one.

    ``data`` may be empty: zeros. Where the kernel cannot map arrays into memory (before Linux commit fc9702273e2e, in
    v5.5) it is created without.
    """
    spec = map_.spec
    attributes = _attributes(spec, title if probes.names() else "", btf_fd if spec.value_type else 0)
    try:
        try:
            map_.fd = _create(map_.system, attributes, rules)
        except OSError:
            if not spec.flags & abi.F_MMAPABLE:
                raise
            map_.spec = replace(spec, flags=spec.flags & ~abi.F_MMAPABLE)
            map_.fd = _create(map_.system, attributes._replace(flags=spec.flags & ~abi.F_MMAPABLE), rules)
        key, value = bytearray(4), bytearray(data)
        if any(data):
            flags = abi.F_ALL_CPUS if spec.type == PERCPU_ARRAY else 0
            map_.system.bpf(abi.MAP_UPDATE_ELEM, abi.element(map_.fd, key, value, flags))
        if spec.flags & abi.F_RDONLY_PROG:
            try:
                map_.system.bpf(abi.MAP_FREEZE, abi.words(map_.fd))
            except OSError as e:
                if e.errno != errno.EINVAL:  # it freezes no maps: Linux does since commit 87df15de441b (v5.2)
                    raise
    except OSError as e:
        _refused(map_, probes, e)
