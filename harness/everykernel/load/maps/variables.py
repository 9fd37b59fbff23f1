"""Global variables of an object: a mapping of names to plain data, read from and written to the kernel's memory.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, Optional

from everykernel.btf import kinds
from everykernel.errors import UsageError
from everykernel.load.maps.values import decode_value, encode_value
from everykernel.load.system import abi
from everykernel.namedtuple import NamedTuple
from everykernel.object.code import ARENA_SECTION

if TYPE_CHECKING:
    from everykernel.btf import Btf
    from everykernel.load.maps.map import Map
    from everykernel.load.system.block import Memory
    from everykernel.object import ObjectSpec


class Variable(NamedTuple):
    """Where a variable is: map, byte offset, size, BTF type."""

    section: str  # the map's name: the section's, or an arena's
    offset: int
    size: int
    type: int


def places(spec: ObjectSpec) -> dict[str, Variable]:
    """Return the variables of all data sections and arenas by name; of two static ones with one name, the first."""
    found: dict[str, Variable] = {}
    btf = spec.btf
    if btf is None:
        return found
    held = [(s.name, s.size, s.type_id) for s in spec.data.values()]
    arenas = [m for m in spec.maps.values() if m.content]
    held += [(m.name, len(m.content), btf.find(ARENA_SECTION, "datasec") or 0) for m in arenas]
    for name, size, type_id in held:
        if not type_id:
            continue
        for entry in btf.type(type_id).variables:  # type: ignore[union-attr]
            variable = btf.type(entry.type)
            if isinstance(variable, kinds.Var) and entry.offset + entry.size <= size:
                found.setdefault(variable.name, Variable(name, entry.offset, entry.size, variable.type))
    return found


class Variables(MutableMapping[str, Any]):
    """The global variables of a loaded object."""

    def __init__(self, variables: dict[str, Variable], maps: dict[str, Map], btf: Btf) -> None:
        self._variables = variables
        self._maps = maps
        self._btf = btf
        self._memory: dict[str, Memory] = {}

    def __getitem__(self, name: str) -> Any:
        place = self._place(name)
        return self._value(place, self._read(place.section))

    def __setitem__(self, name: str, value: Any) -> None:
        place = self._place(name)
        where = f"variable {name!r}"
        map_ = self._maps[place.section]
        if map_.spec.flags & abi.F_RDONLY_PROG:
            raise UsageError(f"is in {place.section}, which is frozen", where=where)
        copies = map_.copies()
        values = value if map_.cpus else [value]
        if not isinstance(values, (list, tuple)) or len(values) != len(copies):
            raise UsageError(f"is per CPU: give a list with one value for each of {len(copies)} CPUs", where=where)
        memory = self._mapped(map_)
        whole = bytearray() if memory is not None else bytearray(self._read(place.section))
        for copy, one in zip(copies, values):
            data = encode_value(self._btf, place.type, place.size, one, where, map_.system.byteorder)
            start = copy + place.offset
            if memory is not None:
                memory[start : start + place.size] = data
            else:
                whole[start : start + place.size] = data
        if memory is None:
            map_.system.bpf(abi.MAP_UPDATE_ELEM, abi.element(map_.fd, bytearray(4), whole))

    def __delitem__(self, name: str) -> None:
        raise UsageError("a global variable cannot be deleted", where=f"variable {name!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __contains__(self, name: object) -> bool:
        return name in self._variables

    def snapshot(self) -> dict[str, Any]:
        """Return all variables of the sections that were created, each section read once."""
        names = {v.section for v in self._variables.values()}
        sections = {name: self._read(name) for name in names if self._maps[name].fd >= 0}
        return {
            name: self._value(place, sections[place.section])
            for name, place in self._variables.items()
            if place.section in sections
        }

    def close(self) -> None:
        """Unmap what is mapped."""
        for memory in self._memory.values():
            memory.close()
        self._memory = {}

    def _value(self, place: Variable, data: bytes) -> Any:
        """Return a variable's value from its section's bytes; of one that is per CPU the list, one a CPU."""
        map_ = self._maps[place.section]
        starts = [copy + place.offset for copy in map_.copies()]
        found = [decode_value(self._btf, place.type, data[at : at + place.size]) for at in starts]
        return found if map_.cpus else found[0]

    def _place(self, name: str) -> Variable:
        place = self._variables.get(name)
        if place is None:
            import difflib

            near = difflib.get_close_matches(name, self._variables, 1)
            raise UsageError(
                f"there is no global variable {name!r}", remedy=f"the nearest is {near[0]!r}" if near else "declare it"
            )
        if self._maps[place.section].fd < 0:
            raise UsageError(f"its section {place.section} was not created", where=f"variable {name!r}")
        return place

    def _mapped(self, map_: Map) -> Optional[Memory]:
        """Return a section's memory where the kernel maps it: writing one variable then leaves the others alone."""
        if map_.memory is not None:
            return map_.memory
        if not map_.spec.flags & abi.F_MMAPABLE:
            return None
        found = self._memory.get(map_.name)
        if found is None:
            page = map_.system.page_size
            found = self._memory[map_.name] = map_.system.map(map_.fd, -(-map_.spec.value_size // page) * page)
        return found

    def _read(self, section: str) -> bytes:
        map_ = self._maps[section]
        if not map_.spec.flags & abi.F_RDONLY_PROG:
            memory = self._mapped(map_)
            if memory is not None:
                return memory[: map_.spec.value_size or len(map_.spec.content)]
        key, value = bytearray(4), bytearray(map_.room())
        map_.system.bpf(abi.MAP_LOOKUP_ELEM, abi.element(map_.fd, key, value))
        return bytes(value)
