"""Several objects as one tool loads them: maps of one name are one map, which the first object makes.

A tool does this by bpf_map__reuse_fd, or by ebpf-go's MapReplacements. Each object keeps its own variables.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Optional, cast

from everykernel import wire
from everykernel.dataclass import replace
from everykernel.errors import UsageError
from everykernel.load.loaded import LoadedObject
from everykernel.load.loader import load
from everykernel.load.maps.pins import HELD
from everykernel.load.maps.variables import Variables, places
from everykernel.object import contract as contract_
from everykernel.object import strict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from everykernel.load.kernel.types import KernelTypes
    from everykernel.object import ObjectSpec


def load_together(
    specs: Sequence[ObjectSpec],
    kernel: KernelTypes,
    *,
    programs: Optional[Sequence[str]] = None,
    contract: Optional[Mapping[str, Any]] = None,
    **options: Any,
) -> LoadedObject:
    """Load objects in order, each with the maps of the earlier ones in the place of its own of the same name.

    Args:
        specs: the objects; one alone is loaded as `load` does it.
        kernel: the running kernel's types and probes.
        programs: load only these, of any object.
        contract: of all: each object takes from it what it has; see `load`.
        options: further arguments of `load`.

    Raises what `load` raises, and UsageError for a program that several objects have.
    """
    if len(specs) == 1:
        return load(specs[0], kernel, programs=programs, contract=contract, **options)
    _check(specs, contract or {}, programs)
    loaded: list[LoadedObject] = []
    with contextlib.ExitStack() as undo:
        for spec in specs:
            wanted = None if programs is None else _own(programs, (p.name for p in spec.programs))
            given = _sharing(spec, loaded)
            loaded.append(load(given, kernel, programs=wanted, contract=_part(contract or {}, spec), **options))
            undo.callback(loaded[-1].close)
        undo.pop_all()
    return Collection(loaded, kernel)


class Collection(LoadedObject):
    """Several loaded objects, used as one.

    ``programs``, ``maps`` and ``globals`` are those of all by name: of sections of variables and of variables that
    several have, the first object's; another's by ``OBJECT:NAME``.
    """

    def __init__(self, objects: Sequence[LoadedObject], kernel: KernelTypes) -> None:
        super().__init__(objects[0].spec, _merged(objects, "relocate"), _merged(objects, "load"), kernel)
        self.objects = list(objects)
        self.globals = _Globals(objects)
        for one in objects:
            self.programs.update(one.programs)
            for name, made in one.maps.items():
                self.maps[name if name not in self.maps else f"{_name(one)}:{name}"] = made
            self.misreads += one.misreads

    def decode(self, type_name: str, data: bytes) -> Any:
        """Return bytes as plain data by a type of the first object that has it."""
        for one in self.objects[:-1]:
            with contextlib.suppress(UsageError):
                return one.decode(type_name, data)
        return self.objects[-1].decode(type_name, data)

    def open_readers(self) -> None:
        """Open the perf buffers of all."""
        for one in self.objects:
            one.open_readers()

    def close(self) -> None:
        """Detach everything, and give back every descriptor, the last object's first."""
        with contextlib.ExitStack() as stack:
            for one in self.objects:
                stack.callback(one.close)


class _Globals(Variables):
    """The variables of several objects, each read from and written to its own object's."""

    def __init__(self, objects: Sequence[LoadedObject]) -> None:
        self._owners: dict[str, tuple[Variables, str]] = {}
        for one in objects:
            for name in one.globals:
                shown = name if name not in self._owners else f"{_name(one)}:{name}"
                self._owners[shown] = one.globals, name

    def __getitem__(self, name: str) -> Any:
        owner, own = self._owner(name)
        return owner[own]

    def __setitem__(self, name: str, value: Any) -> None:
        owner, own = self._owner(name)
        owner[own] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._owners)

    def __len__(self) -> int:
        return len(self._owners)

    def __contains__(self, name: object) -> bool:
        return name in self._owners

    def snapshot(self) -> dict[str, Any]:
        """Return all variables of the sections that were created."""
        found = {id(owner): owner.snapshot() for owner, _ in self._owners.values()}
        rows = ((name, own, found[id(owner)]) for name, (owner, own) in self._owners.items())
        return {name: values[own] for name, own, values in rows if own in values}

    def close(self) -> None:
        """Do nothing: each object closes its own."""

    def _owner(self, name: str) -> tuple[Variables, str]:
        strict.known(name, self._owners, "globals", "variable")
        return self._owners[name]


def _name(loaded: LoadedObject) -> str:
    return loaded.spec.name if loaded.spec is not None else ""


def _sharing(spec: ObjectSpec, before: Sequence[LoadedObject]) -> ObjectSpec:
    """Return an object whose maps are those of the objects before it, by name, where these have them."""
    made = {name: m.fd for one in reversed(before) for name, m in one.maps.items() if m.fd >= 0 and name in _maps(one)}
    shared = {n: replace(m, reuse=f"{HELD}{made[n]}") if n in made else m for n, m in spec.maps.items()}
    return replace(spec, maps=shared)


def _maps(loaded: LoadedObject) -> Iterable[str]:
    return loaded.spec.maps if loaded.spec is not None else ()


def _check(specs: Sequence[ObjectSpec], contract: Mapping[str, Any], programs: Optional[Sequence[str]]) -> None:
    """Raise UsageError for a contract that is wrong, that names what no object has, or a program that several have."""
    agreed = contract_.parse(contract, "contract")
    owners: dict[str, str] = {}
    for spec in specs:
        for program in spec.programs:
            if owners.setdefault(program.name, spec.name) != spec.name:
                told = f"program {program.name!r} is in {owners[program.name]} and in {spec.name}"
                raise UsageError(told, where="objects", remedy="load these apart")
    mappings = (agreed.targets, agreed.types, agreed.attach_types, agreed.attach, agreed.grouped)
    lists = (programs or (), agreed.programs or (), agreed.skip, agreed.may_fail)
    for name in (name for names in (*mappings, *lists) for name in names):
        strict.known(name, owners, "contract", "program")
    for what, names in (("map", agreed.maps), ("variable", agreed.globals), ("setting", agreed.kconfig)):
        known = {name for spec in specs for name in _names(spec)[what]}
        for name in names:
            strict.known(name, known, "contract", what)


def _names(spec: ObjectSpec) -> dict[str, set[str]]:
    """Return what an object has that a contract may name."""
    return {
        "program": {p.name for p in spec.programs},
        "map": {*spec.maps, *spec.data, *(o.name for o in spec.struct_ops)},
        "variable": set(places(spec)),
        "setting": {e.name for e in spec.externs.values() if e.section == ".kconfig"},
    }


_KINDS = {"maps": "map", "globals": "variable", "kconfig": "setting"}


def _part(contract: Mapping[str, Any], spec: ObjectSpec) -> dict[str, Any]:
    """Return what of a contract concerns an object."""
    names = _names(spec)
    part: dict[str, Any] = {}
    for key, value in contract.items():
        known = names[_KINDS.get(key, "program")]
        if key == "variants":
            own = {g: [v for v in group if known.issuperset(v["programs"])] for g, group in value.items()}
            part[key] = {g: vs for g, vs in own.items() if any(v["programs"] for v in vs)}
        elif isinstance(value, (list, tuple)):
            part[key] = _own(value, known)
        else:
            part[key] = {name: v for name, v in value.items() if name in known}
    return part


def _own(names: Iterable[str], known: Iterable[str]) -> list[str]:
    known = set(known)
    return [name for name in names if name in known]


def _merged(objects: Sequence[LoadedObject], name: str) -> wire.Stage:
    """Return the records of one stage of several objects as one: of the first that failed, or that was not reached."""
    stages = [(_name(one), one.relocate if name == "relocate" else one.load) for one in objects]
    order = (wire.FAILED, wire.NOT_REACHED, wire.SKIPPED, wire.PASSED)
    owner, worst = min(stages, key=lambda row: order.index(row[1]["status"]))
    made: Any = {**stages[0][1], **{key: worst[key] for key in ("status", "code")}}
    made["message"] = f"{owner}: {worst['message']}" if worst["message"] else ""
    made["seconds"] = sum(stage["seconds"] for _, stage in stages)
    for key in ("relocations", "maps", "programs"):
        if key in made:
            made[key] = [row for _, stage in stages for row in stage[key]]
    made["notes"] = [f"{owner}: {note}" for owner, stage in stages for note in stage.get("notes", [])]
    if "whole" in made:
        made["whole"] = min((stage["whole"] for _, stage in stages), key=lambda whole: order.index(whole["status"]))
    return cast("wire.Stage", made)
