"""Operations structs: variables of ``.struct_ops`` sections, whose function pointers are programs.

The rules are libbpf 1.7's (init_struct_ops_maps, bpf_object__collect_st_ops_relos).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from everykernel.btf import kinds
from everykernel.errors import ObjectMalformed
from everykernel.object.spec import StructOpsSpec

if TYPE_CHECKING:
    from everykernel.btf import Btf
    from everykernel.object import elf
    from everykernel.object.reading import Reading
    from everykernel.object.spec import Function


def declared(
    container: elf.Elf, ids: dict[str, int], btf: Btf, code: list[Function], name: str, reading: Reading
) -> list[StructOpsSpec]:
    """Return the operations structs of an object; ``ids`` are its datasecs by name.

    Raises ObjectMalformed for one whose BTF does not describe it or that points to what is no function.
    """
    found = []
    places = {(f.section, f.start): f.name for f in code}
    for section in container.sections:
        if section.name not in reading.structs or not section.size:
            continue
        plain = section.name.removeprefix("?")
        where = f"{name}: {section.name}"
        if section.name not in ids:
            raise ObjectMalformed("has no BTF that describes it", where=where)
        pointers = {}
        for relocation in container.relocations.get(section.number, []):
            symbol = relocation.symbol
            holder = container.sections[symbol.section].name if symbol.section < len(container.sections) else ""
            pointers[relocation.offset] = places.get((holder, symbol.value), "")
            if not pointers[relocation.offset]:
                raise ObjectMalformed(f"points at {relocation.offset:#x} to what is no function", where=where)
        for position, entry in enumerate(btf.type(ids[section.name]).variables):  # type: ignore[union-attr]
            # libbpf 1.8 forgets the "?" after the first struct of a section (init_struct_ops_maps)
            autocreate = plain == section.name or position > 0
            found.append(_variable(btf, section, plain, entry, pointers, autocreate=autocreate, where=where))
    return found


def _variable(
    btf: Btf,
    section: elf.Section,
    plain: str,
    entry: kinds.SecVar,
    pointers: dict[int, str],
    *,
    autocreate: bool,
    where: str,
) -> StructOpsSpec:
    variable = btf.type(entry.type)
    where = f"{where}: {variable.name!r}"
    number = btf.resolve(variable.type) if isinstance(variable, kinds.Var) else 0
    struct = btf.type(number)
    if not isinstance(struct, kinds.Struct) or struct.kind != "struct" or not struct.name:
        raise ObjectMalformed("is no variable of a named struct", where=where)
    end = entry.offset + struct.size
    if end > len(section.data):
        raise ObjectMalformed(f"ends past its section (end {end:#x}, size {len(section.data):#x})", where=where)
    members = {m.bit_offset: m.name for m in struct.members}
    programs = {}
    for offset, function in pointers.items():
        if entry.offset <= offset < end:
            member = members.get(8 * (offset - entry.offset))
            if not member:
                raise ObjectMalformed(f"points at {offset:#x} to a function from no member", where=where)
            programs[member] = function
    return StructOpsSpec(
        name=variable.name,
        type_id=number,
        data=section.data[entry.offset : end],
        programs=tuple(programs.items()),
        link=plain.endswith(".link"),
        autocreate=autocreate,
    )
