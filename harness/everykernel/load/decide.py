"""Applying a loader contract to an object: what is decided before loading becomes part of what the object says.

The outcome is an `ObjectSpec` like any other, so that relocating, linking and loading need not know of contracts:
values of read-only variables are in the section's bytes before its map is made and frozen, sizes in the maps'
definitions, targets and "may fail" in the programs'.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import mmap
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Optional

from everykernel.btf import SizeUnknown
from everykernel.load.maps import encode_value, possible_cpus
from everykernel.load.variables import places
from everykernel.object.contract import Contract, Sizes, known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from everykernel.btf import Btf
    from everykernel.object import MapSpec, ObjectSpec, ProgramSpec
    from everykernel.object.spec import DataSection


_NOTHING = Contract()


class Decided(NamedTuple):
    """An object as a contract has it.

    ``programs`` are those that load without condition; ``notes`` say what was decided, for the record.
    """

    spec: ObjectSpec
    programs: list[ProgramSpec]
    notes: list[str]


def decide(spec: ObjectSpec, contract: Contract, names: Optional[Sequence[str]] = None) -> Decided:
    """Return the object as the contract has it; ``names`` stands for the contract's ``programs``.

    Raises UsageError, with the nearest name, for a program, map or variable that the object does not have, and for a
    value that does not fit.
    """
    notes: list[str] = []
    wanted = contract.programs if names is None else tuple(names)
    grouped = contract.grouped
    _check(spec, contract, wanted)
    if contract == _NOTHING and wanted is None:
        return Decided(spec, list(spec.programs), notes)  # as most objects are loaded, many in a row
    programs = [_program(p, contract, optional=p.name in grouped) for p in spec.programs]
    if wanted is None:
        chosen = [p for p in programs if p.name not in grouped and p.name not in contract.skip]
    else:
        by_name = {p.name: p for p in programs}
        chosen = [by_name[name] for name in dict.fromkeys(wanted) if name not in grouped]
    taken = {p.name for p in chosen} | set(grouped)
    off = [p.name for p in programs if p.name not in taken]
    if off and (contract.skip or contract.programs is not None):
        notes.append(f"switched off by the contract: {', '.join(off)}")
    decided = replace(
        spec,
        programs=tuple(programs),
        maps={name: _map(m, contract.maps.get(name), spec.btf, notes) for name, m in spec.maps.items()},
        data=_data(spec, contract.globals, notes),
    )
    for name, value in contract.kconfig.items():
        notes.append(f"setting {name}: {value}, as the contract says")
    return Decided(decided, chosen, notes)


def _check(spec: ObjectSpec, contract: Contract, wanted: Optional[Sequence[str]]) -> None:
    """Raise UsageError for a name that the object does not have."""
    programs = [p.name for p in spec.programs]
    named = {
        "programs": wanted or (),
        "skip": contract.skip,
        "may_fail": contract.may_fail,
        "targets": contract.targets,
        "variants": contract.grouped,
    }
    for key, names in named.items():
        for name in names:
            known(name, programs, f"{spec.name}: {key}", "program")
    for name in contract.maps:
        known(name, spec.maps, f"{spec.name}: maps", "map")
    for name in contract.kconfig:
        settings = [e.name for e in spec.externs.values() if e.section == ".kconfig"]
        known(name, settings, f"{spec.name}: kconfig", "setting")


def _program(program: ProgramSpec, contract: Contract, *, optional: bool) -> ProgramSpec:
    target = contract.targets.get(program.name, program.target)
    decides = program.autoload and not optional and program.name not in contract.may_fail
    return replace(program, target=target, autoload=decides)


def _map(spec: MapSpec, sizes: Optional[Sizes], btf: Optional[Btf], notes: list[str]) -> MapSpec:
    if sizes is None:
        return spec
    entries = sizes.entries(possible_cpus(), mmap.PAGESIZE, _pid_max() if sizes.max_entries == "pid_max" else 0)
    changes = {"max_entries": entries, "key_size": sizes.key_size, "value_size": sizes.value_size}
    changes = {key: value for key, value in changes.items() if value is not None}
    for key, value in changes.items():
        told = f" ({sizes.max_entries})" if key == "max_entries" and isinstance(sizes.max_entries, str) else ""
        notes.append(f"map {spec.name!r}: {key} {getattr(spec, key)} -> {value}{told}, as the contract says")
    made = replace(spec, **changes)  # type: ignore[arg-type]
    if not (_fits(btf, made.key_type, made.key_size) and _fits(btf, made.value_type, made.value_size)):
        made = replace(made, key_type=0, value_type=0)  # the kernel would refuse the types, libbpf drops them then
    return made


def _fits(btf: Optional[Btf], type_id: int, size: int) -> bool:
    if btf is None or not type_id:
        return True
    try:
        return btf.size_of(type_id) == size
    except SizeUnknown:
        return False


def _pid_max() -> int:
    with open("/proc/sys/kernel/pid_max") as file:  # noqa: PTH123 - pathlib costs a tenth of the call here
        return int(file.read())


def _data(spec: ObjectSpec, values: Mapping[str, object], notes: list[str]) -> dict[str, DataSection]:
    """Return the data sections with the initial values in them."""
    sections = dict(spec.data)
    variables = places(spec) if values else {}
    for name, value in values.items():
        known(name, variables, f"{spec.name}: globals", "variable")
        assert spec.btf is not None
        place = variables[name]
        section = sections[place.section]
        data = bytearray(section.data.ljust(section.size, b"\0"))
        packed = encode_value(spec.btf, place.type, place.size, value, f"{spec.name}: globals: {name}")
        data[place.offset : place.offset + place.size] = packed
        sections[place.section] = replace(section, data=bytes(data))
        notes.append(f"variable {name!r} = {value!r}, as the contract says")
    return sections
