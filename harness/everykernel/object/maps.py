"""Maps as an object declares them: BTF-defined in ``.maps``, or ``struct bpf_map_def`` in a legacy ``maps`` section.

The rules are those of libbpf 1.7 (parse_btf_map_def, bpf_object__init_user_btf_maps); legacy definitions, which libbpf
1.x refuses, are their first five 32-bit fields (libbpf 0.x, struct bpf_map_def).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Optional

from everykernel.btf import kinds
from everykernel.dataclass import replace
from everykernel.errors import ObjectMalformed, ObjectUnsupported
from everykernel.object import datasecs, elf
from everykernel.object.spec import MapSpec

if TYPE_CHECKING:
    from everykernel.btf import Btf
    from everykernel.object.reading import Reading

MAP_TYPES = (
    "unspec", "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array", "stack_trace",
    "cgroup_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps", "devmap", "sockmap",
    "cpumap", "xskmap", "sockhash", "cgroup_storage", "reuseport_sockarray", "percpu_cgroup_storage", "queue", "stack",
    "sk_storage", "devmap_hash", "struct_ops", "ringbuf", "inode_storage", "task_storage", "bloom_filter",
    "user_ringbuf", "cgrp_storage", "arena", "insn_array", "rhash",
)  # fmt: skip
"""The kernel's enum bpf_map_type, in order."""

MAP_TYPE = {name: number for number, name in enumerate(MAP_TYPES)}
MAPS_OF_MAPS = frozenset({MAP_TYPE["array_of_maps"], MAP_TYPE["hash_of_maps"]})

_POINTER = 8  # bytes in a pointer of the BPF machine
_LEGACY = struct.Struct("=5I")
_PINNING = (0, 1)  # libbpf's enum libbpf_pin_type
_LINKAGES = dict(enumerate(kinds.LINKAGES))

# Members of a definition whose number is the count of an array behind a pointer: __uint(max_entries, 8).
_NUMBERS = {
    "type": "type", "max_entries": "max_entries", "map_flags": "flags", "numa_node": "numa_node",
    "pinning": "pinning", "map_extra": "extra",
}  # fmt: skip


def declared(
    btf: Btf, symbols: list[elf.Symbol], section: elf.Section, type_id: int, name: str, reading: Reading
) -> dict[str, tuple[MapSpec, int]]:
    """Return the maps of ``.maps`` by a loader's ``reading``, each with its byte offset in the section.

    ``type_id`` is the section's datasec. Raises ObjectMalformed naming the map.
    """
    named = {s.name for s in symbols if s.section == section.number}
    found: dict[str, tuple[MapSpec, int]] = {}
    for entry in btf.type(type_id).variables:  # type: ignore[union-attr]
        variable = btf.type(entry.type)
        where = f"{name}: map {variable.name!r}"
        if not isinstance(variable, kinds.Var):
            raise ObjectMalformed(f"is a {variable.kind}, not a variable", where=where)
        if variable.linkage != datasecs.GLOBAL and not reading.static_maps:
            raise ObjectUnsupported(
                f"unsupported map linkage {_LINKAGES.get(variable.linkage, variable.linkage)}",
                where=where,
                remedy="libbpf takes global maps: take away static, __hidden or -fvisibility=hidden",
            )
        if variable.name not in named:
            raise ObjectMalformed("has no symbol in .maps", where=where)
        struct_ = btf.type(btf.resolve(variable.type))
        if not isinstance(struct_, kinds.Struct) or struct_.kind != "struct":
            raise ObjectMalformed(f"its definition is a {struct_.kind}, not a struct", where=where)
        place = entry.offset  # the symbol's (datasecs.complete), unless a linker filled it in
        if place + struct_.size > section.size:
            raise ObjectMalformed(f"its definition at {place:#x} ends past .maps (size {section.size:#x})", where=where)
        found[variable.name] = (reading.definition(btf, variable.name, struct_, where), place)
    return found


def definition(btf: Btf, name: str, struct_: kinds.Struct, where: str) -> MapSpec:
    """Return what libbpf reads off a map's struct; raise ObjectMalformed or ObjectUnsupported where it refuses it."""
    return _definition(btf, name, struct_, where, inner=False)


def _definition(btf: Btf, name: str, definition: kinds.Struct, where: str, *, inner: bool) -> MapSpec:
    fields: dict[str, Any] = {}
    for member in definition.members:
        if member.name in ("key_size", "value_size"):
            _size(fields, member.name, _number(btf, member, where), where)
        elif member.name in _NUMBERS:
            fields[_NUMBERS[member.name]] = _number(btf, member, where)
        elif member.name in ("key", "value"):
            target = _pointee(btf, member, where)
            fields[f"{member.name}_type"] = target
            try:
                size = btf.size_of(target)
            except ValueError as e:
                raise ObjectMalformed(f"its {member.name} has no size ({e})", where=where) from e
            _size(fields, f"{member.name}_size", size, where)
        elif member.name == "values":
            if inner:
                raise ObjectMalformed("an inner map has inner maps of its own", where=where)
            if member is not definition.members[-1]:
                raise ObjectMalformed("its values are not its last member", where=where)
            _size(fields, "value_size", 4, where)
            fields.update(_values(btf, name, member, fields.get("type", 0), where))
        else:
            raise ObjectUnsupported(f"has a member {member.name!r} that is not known", where=where)
    if not fields.get("type"):
        raise ObjectMalformed("has no type", where=where)
    if fields.get("pinning", 0) not in _PINNING or (inner and "pinning" in fields):
        what = "an inner map cannot be pinned" if inner else f"invalid pinning value {fields['pinning']}"
        raise ObjectUnsupported(what, where=where, remedy="libbpf knows LIBBPF_PIN_NONE and LIBBPF_PIN_BY_NAME")
    return MapSpec(name=name, **fields)


def _size(fields: dict[str, Any], key: str, size: int, where: str) -> None:
    """Keep a size; what is declared by a number and by a type has to be the same."""
    told = fields.get(key, 0)
    if told and told != size:
        raise ObjectMalformed(f"its {key} is {told} and {size}", where=where)
    fields[key] = size


def _number(btf: Btf, member: kinds.Member, where: str) -> int:
    """Return the number of __uint (the count of an array behind a pointer) or __ulong (an enum's first value)."""
    found = btf.type(btf.resolve(member.type))
    if isinstance(found, kinds.Ptr):
        found = btf.type(btf.resolve(found.type))
        if isinstance(found, kinds.Array):
            return found.count
    elif isinstance(found, kinds.Enum) and len(found.values) == 1:
        value, limit = found.values[0].value, 64 if member.name == "map_extra" else 32
        if not 0 <= value < 1 << limit:
            raise ObjectMalformed(f"its {member.name} {value} does not fit {limit} bits", where=where)
        return value
    raise ObjectMalformed(f"its {member.name} is no number (__uint): {found.kind}", where=where)


def _pointee(btf: Btf, member: kinds.Member, where: str) -> int:
    found = btf.type(btf.resolve(member.type))
    if not isinstance(found, kinds.Ptr):
        raise ObjectMalformed(f"its {member.name} is no pointer to a type (__type): {found.kind}", where=where)
    return found.type


def _values(btf: Btf, name: str, member: kinds.Member, type_: int, where: str) -> dict[str, Any]:
    """Return what ``values`` says of the elements: the inner map of a map of maps, nothing of a prog_array."""
    array = btf.type(btf.resolve(member.type))
    pointer = btf.type(btf.resolve(array.type)) if isinstance(array, kinds.Array) else None
    if not isinstance(pointer, kinds.Ptr):
        raise ObjectMalformed("its values are no array of pointers (__array)", where=where)
    target = btf.type(btf.resolve(pointer.type))
    if type_ in MAPS_OF_MAPS and isinstance(target, kinds.Struct):
        return {"inner": _definition(btf, f"{name}.inner", target, where, inner=True)}
    if type_ == MAP_TYPE["prog_array"] and isinstance(target, kinds.FuncProto):
        return {}
    raise ObjectMalformed(f"its values are {target.kind}, which a map of type {type_} cannot hold", where=where)


def with_slots(
    btf: Btf, type_id: int, places: dict[str, tuple[MapSpec, int]], relocations: list[elf.Relocation], name: str
) -> dict[str, MapSpec]:
    """Return the maps with their static initialisers, which are the relocations of ``.maps`` itself."""
    filled: dict[str, list[tuple[int, str]]] = {}
    order = sorted((start, map_name) for map_name, (_, start) in places.items())
    for relocation in relocations:
        index = bisect_right(order, (relocation.offset, "\xff")) - 1
        start, map_name = order[index] if index >= 0 else (0, "")
        struct_ = _variable(btf, type_id, map_name)
        values = next((m for m in struct_.members if m.name == "values"), None) if struct_ else None
        slot, rest = divmod(relocation.offset - start - (values.bit_offset // 8 if values else 0), _POINTER)
        if values is None or slot < 0 or rest:
            where = f"{name}: map {map_name!r}"
            raise ObjectMalformed(f"an initialiser at {relocation.offset:#x} is outside its values", where=where)
        filled.setdefault(map_name, []).append((slot, relocation.symbol.name))
    return {n: replace(spec, slots=tuple(filled.get(n, ()))) for n, (spec, _) in places.items()}


def _variable(btf: Btf, type_id: int, name: str) -> Optional[kinds.Struct]:
    for entry in btf.type(type_id).variables:  # type: ignore[union-attr]
        variable = btf.type(entry.type)
        if variable.name == name and isinstance(variable, kinds.Var):
            found = btf.type(btf.resolve(variable.type))
            return found if isinstance(found, kinds.Struct) else None
    return None


def legacy(
    data: bytes, symbols: list[elf.Symbol], section: elf.Section, byteorder: str, name: str
) -> dict[str, tuple[MapSpec, int]]:
    """Return the maps of a legacy ``maps`` section, each with its byte offset: one definition a symbol."""
    own = sorted(
        (s for s in symbols if s.section == section.number and s.name and s.type != elf.STT_SECTION),
        key=lambda s: s.value,
    )
    found: dict[str, tuple[MapSpec, int]] = {}
    for symbol in own:
        if symbol.value + _LEGACY.size > len(data):
            raise ObjectMalformed(
                f"its definition at {symbol.value:#x} ends past the section (size {len(data):#x})",
                where=f"{name}: {section.name}: map {symbol.name!r}",
            )
        layout = "<5I" if byteorder == "little" else ">5I"
        type_, key_size, value_size, max_entries, flags = struct.unpack_from(layout, data, symbol.value)
        tail = data[symbol.value + _LEGACY.size : symbol.value + symbol.size]
        spec = MapSpec(symbol.name, type_, key_size, value_size, max_entries, flags, legacy=True, tail=tail)
        found[symbol.name] = (spec, symbol.value)
    return found
