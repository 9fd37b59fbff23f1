"""Applying a loader contract to an object: what is decided before loading becomes part of what the object says.

The outcome is an `ObjectSpec` like any other, so that relocating, linking and loading need not know of contracts:
values of read-only variables are in the section's bytes before its map is made and frozen, sizes in the maps'
definitions, targets and "may fail" in the programs'.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import SizeUnknown
from everykernel.dataclass import replace
from everykernel.errors import UsageError
from everykernel.load.maps.values import encode_value
from everykernel.load.maps.variables import places
from everykernel.load.rules.named import DEFAULT
from everykernel.namedtuple import NamedTuple
from everykernel.object import strict
from everykernel.object.contract import Contract
from everykernel.object.map_terms import MapTerms
from everykernel.object.maps import MAP_TYPE, MAP_TYPES, MAPS_OF_MAPS
from everykernel.object.sections import SectionRule, by_stem
from everykernel.object.spec import MapSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from everykernel.btf import Btf
    from everykernel.load.rules.rules import Rules
    from everykernel.load.system.door import System
    from everykernel.object import ObjectSpec, ProgramSpec


_NOTHING = Contract()
_SIZES = ("max_entries", "key_size", "value_size")


class Decided(NamedTuple):
    """An object as a contract has it.

    ``programs`` are those that load without condition; ``notes`` say what was decided, for the record.
    """

    spec: ObjectSpec
    programs: list[ProgramSpec]
    notes: list[str]


def decide(
    spec: ObjectSpec,
    contract: Contract,
    names: Optional[Sequence[str]] = None,
    *,
    system: System,
    rules: Rules = DEFAULT,
) -> Decided:
    """Return the object as the contract has it; ``names`` stands for the contract's ``programs``.

    ``system`` is the machine that it is for: sizes may depend on it. ``rules`` are those of the loader, which may have
    no way to set some sizes.

    Raises UsageError, with the nearest name, for a program, map or variable that the object does not have, and for a
    value that does not fit.
    """
    notes: list[str] = []
    wanted = contract.programs if names is None else tuple(names)
    grouped = contract.grouped
    _check(spec, contract, wanted)
    if contract == _NOTHING and wanted is None:
        return Decided(spec, list(spec.programs), notes)  # as most objects are loaded, many in a row
    left_out = {name for name, terms in contract.maps.items() if not terms.create}
    notes += [f"map {name!r} is left out, as the contract says" for name in sorted(left_out)]
    idle = {f for o in spec.struct_ops if o.name in left_out for _, f in o.programs}
    idle -= {f for o in spec.struct_ops if o.name not in left_out for _, f in o.programs}
    optional = {p.name for p in spec.programs if p.name in grouped or p.function in idle}
    programs = [_program(p, contract, notes, spec.name, optional=p.name in optional) for p in spec.programs]
    if wanted is None:
        chosen = [p for p in programs if p.name not in grouped and p.name not in contract.skip]
    else:
        by_name = {p.name: p for p in programs}
        chosen = [by_name[name] for name in dict.fromkeys(wanted) if name not in grouped]
    taken = {p.name for p in chosen} | set(grouped)
    off = [p.name for p in programs if p.name not in taken]
    if off and (contract.skip or contract.programs is not None):
        notes.append(f"switched off by the contract: {', '.join(off)}")
    maps = {name: _map(m, contract.maps.get(name), spec.btf, notes, system, rules) for name, m in spec.maps.items()}
    values = _values(spec, contract.globals, notes)
    decided = replace(
        spec,
        programs=tuple(programs),
        maps={name: replace(m, content=values[name]) if name in values else m for name, m in maps.items()},
        data={name: replace(s, data=values[name]) if name in values else s for name, s in spec.data.items()},
        struct_ops=tuple(replace(o, autocreate=o.autocreate and o.name not in left_out) for o in spec.struct_ops),
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
        "types": contract.types,
        "attach_types": contract.attach_types,
        "attach": contract.attach,
        "variants": contract.grouped,
    }
    for key, names in named.items():
        for name in names:
            strict.known(name, programs, f"{spec.name}: {key}", "program")
    for name, terms in contract.maps.items():
        others = () if terms.create else (*spec.data, *(o.name for o in spec.struct_ops))
        strict.known(name, (*spec.maps, *others), f"{spec.name}: maps", "map")
    for name in contract.kconfig:
        settings = [e.name for e in spec.externs.values() if e.section == ".kconfig"]
        strict.known(name, settings, f"{spec.name}: kconfig", "setting")


def _program(program: ProgramSpec, contract: Contract, notes: list[str], where: str, *, optional: bool) -> ProgramSpec:
    target = contract.targets.get(program.name, program.target)
    decides = program.autoload and not optional and program.name not in contract.may_fail
    rule = _rule(program, contract, notes)
    places = tuple((by_stem(word), at) for word, at in contract.attach.get(program.name, ()))
    for place, at in places:
        if rule is None or place.type != rule.type:
            kind = rule.type if rule is not None else "of no type"
            told = f"attaches {place.type} programs, and program {program.name!r} is {kind}"
            remedy = f'types = {{ {program.name} = "{place.type}" }}'
            raise UsageError(f"{place.stem!r} {told}", where=f"{where}: attach", remedy=remedy)
        notes.append(f"program {program.name!r} attaches to {place.stem}:{at}, as the contract says")
    return replace(program, target=target, autoload=decides, rule=rule, attach=places)


def _rule(program: ProgramSpec, contract: Contract, notes: list[str]) -> Optional[SectionRule]:
    """Return what a program is loaded as.

    Another type takes all that its section says but the expected attach type (bpf_program__set_type drops the section's
    definition): it may not sleep, and has no target in the kernel's BTF.
    """
    rule, type_ = program.rule, contract.types.get(program.name)
    if type_ is not None and (rule is None or rule.type != type_):
        notes.append(f"program {program.name!r}: type {rule.type if rule else 'none'} -> {type_}, as the contract says")
        rule = SectionRule(type_, type_, rule.attach_type if rule else "")
    attach_type = contract.attach_types.get(program.name)
    if attach_type is not None and rule is not None:
        told = f"attach type {rule.attach_type or 'none'} -> {attach_type}, as the contract says"
        notes.append(f"program {program.name!r}: {told}")
        rule = rule._replace(attach_type=attach_type)
    return rule


def _map(
    spec: MapSpec, terms: Optional[MapTerms], btf: Optional[Btf], notes: list[str], system: System, rules: Rules
) -> MapSpec:
    if terms is None:
        return spec
    made = _shaped(spec, terms, notes, system, rules)
    if terms.inner is not None:
        if made.type not in MAPS_OF_MAPS:
            told = f"map {spec.name!r} is of type {MAP_TYPES[made.type]}, which holds no maps"
            raise UsageError(told, where=f"maps.{spec.name}: inner", remedy='type = "hash_of_maps" or "array_of_maps"')
        inner = _shaped(MapSpec(f"{spec.name}.inner", 0), terms.inner, notes, system, rules)
        made = replace(made, inner=inner, value_size=4)
    if terms.pin is not None:
        notes.append(
            f"map {spec.name!r}: {f'pinned at {terms.pin}' if terms.pin else 'not pinned'}, as the contract says"
        )
        made = replace(made, pin=terms.pin, pinning=int(bool(terms.pin)))
    if not (_fits(btf, made.key_type, made.key_size) and _fits(btf, made.value_type, made.value_size)):
        made = replace(made, key_type=0, value_type=0)  # the kernel would refuse the types, libbpf drops them then
    return replace(made, reuse=terms.reuse or spec.reuse)


def _shaped(spec: MapSpec, terms: MapTerms, notes: list[str], system: System, rules: Rules) -> MapSpec:
    """Return a map with the type, sizes and flags that are decided about it."""
    pid_max = int(system.read("/proc/sys/kernel/pid_max")) if terms.max_entries == "pid_max" else 0
    entries = terms.entries(len(system.cpus()), system.page_size, pid_max)
    changes = {"max_entries": entries, "key_size": terms.key_size, "value_size": terms.value_size}
    changes = {**changes, "flags": terms.flags, "extra": terms.extra}
    changes = {key: value for key, value in changes.items() if value is not None}
    for key in [key for key in _SIZES if key in changes and key not in rules.settable]:
        notes.append(f"map {spec.name!r}: {key} is not set: {rules.name} has no way to")
        del changes[key]
    for key, value in changes.items():
        told = f" ({terms.max_entries})" if key == "max_entries" and isinstance(terms.max_entries, str) else ""
        notes.append(f"map {spec.name!r}: {key} {getattr(spec, key)} -> {value}{told}, as the contract says")
    if terms.type is not None:
        notes.append(f"map {spec.name!r}: type {MAP_TYPES[spec.type]} -> {terms.type}, as the contract says")
        changes["type"] = MAP_TYPE[terms.type]
    return replace(spec, **changes)  # type: ignore[arg-type]


def _fits(btf: Optional[Btf], type_id: int, size: int) -> bool:
    if btf is None or not type_id:
        return True
    try:
        return btf.size_of(type_id) == size
    except SizeUnknown:
        return False


def _values(spec: ObjectSpec, values: Mapping[str, object], notes: list[str]) -> dict[str, bytes]:
    """Return the bytes of the data sections (and arenas, by the map's name) that have other initial values."""
    found: dict[str, bytes] = {}
    variables = places(spec) if values else {}
    for name, value in values.items():
        strict.known(name, variables, f"{spec.name}: globals", "variable")
        assert spec.btf is not None
        place = variables[name]
        section = spec.data.get(place.section)
        declared = section.data.ljust(section.size, b"\0") if section else spec.maps[place.section].content
        data = bytearray(found.get(place.section, declared))
        packed = encode_value(spec.btf, place.type, place.size, value, f"{spec.name}: globals: {name}", spec.byteorder)
        data[place.offset : place.offset + place.size] = packed
        found[place.section] = bytes(data)
        notes.append(f"variable {name!r} = {value!r}, as the contract says")
    return found
