"""Jump tables: the map of instructions that the kernel wants for each table by which a program jumps.

The rules are libbpf 1.7's (create_jt_map): a map a program and table, filled with where the linked program has what the
table names, and frozen. Nobody but the program sees it. Linux commit b4ce5923e780 (v6.19).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Union

from everykernel.load.kernel.reason import Reason
from everykernel.load.kernel.releases import since
from everykernel.load.programs.link import places
from everykernel.load.system import abi
from everykernel.load.system.errnos import error_name
from everykernel.object.maps import MAP_TYPE
from everykernel.object.spec import INSN, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from everykernel.load.kernel.types import KernelTypes
    from everykernel.object import Function

INSN_ARRAY = MAP_TYPE["insn_array"]
_VALUE_SIZE = 16  # struct bpf_insn_array_value: the original instruction, and what the kernel fills in
_REMEDY = "compile with -fno-jump-tables"


def create(
    kernel: KernelTypes, tables: Mapping[str, tuple[int, ...]], parts: list[Function]
) -> tuple[dict[str, int], Optional[Reason]]:
    """Return the descriptors of the maps for the tables that a program refers to, by name, or why there are none."""
    made: dict[str, int] = {}
    for name, shift in _used(parts):
        if name not in made:
            found = _filled(kernel, [offset // INSN + shift for offset in tables[name]])
            if isinstance(found, Reason):
                for fd in made.values():
                    kernel.system.close(fd)
                return {}, found
            made[name] = found
    return made, None


def _used(parts: list[Function]) -> Iterator[tuple[str, int]]:
    """Yield the tables that functions refer to, and by how many instructions each of these moved in linking."""
    starts = places(parts)
    for function in parts:
        for reference in function.references:
            if reference.kind == TABLE:
                yield reference.name, starts[function.name] - function.start // INSN


def _filled(kernel: KernelTypes, targets: list[int]) -> Union[int, Reason]:
    """Return a map of these instructions, or why there is none."""
    if not 0 <= min(targets) <= max(targets) <= 0xFFFFFFFF:
        return Reason("object-malformed", "its jump table names what is no instruction")
    system = kernel.system
    attributes = abi.MapAttributes(INSN_ARRAY, 4, _VALUE_SIZE, len(targets), name=b".jumptables")
    try:
        fd = system.bpf(abi.MAP_CREATE, attributes.fields())
    except OSError as e:
        if not kernel.probes.map_type(INSN_ARRAY):
            known = since("map", INSN_ARRAY)
            what = f"it jumps by a table, and this kernel does not know map type insn_array{known} [{_REMEDY}]"
            return Reason("map-type-unsupported", what)
        what = f"the kernel refuses a map for a jump table of {len(targets)} entries: {error_name(e.errno)} [{_REMEDY}]"
        return Reason("map-create-failed", what)
    try:
        for index, target in enumerate(targets):
            key, value = bytearray(system.pack("I", index)), bytearray(system.pack("4I", target, 0, 0, 0))
            system.bpf(abi.MAP_UPDATE_ELEM, abi.element(fd, key, value))
        system.bpf(abi.MAP_FREEZE, abi.words(fd))
    except OSError as e:
        system.close(fd)
        return Reason("map-create-failed", f"its jump table cannot be filled: {error_name(e.errno)}")
    return fd
