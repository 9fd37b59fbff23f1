"""What aya 0.16.0 (aya-obj 0.6.0) makes of an object when it opens it, and what it refuses then.

In brackets: the function of that release to read.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from everykernel.btf import kinds
from everykernel.core import relokinds
from everykernel.errors import ObjectMalformed, ObjectUnsupported
from everykernel.object import datasecs, elf
from everykernel.object.code import TEXT
from everykernel.object.maps import MAPS_OF_MAPS
from everykernel.object.spec import DATA, EXTERN, EXTERN_CALL, MAP, TABLE, MapSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everykernel.btf import Btf
    from everykernel.object.reading import Check, Match
    from everykernel.object.spec import ObjectSpec

_LEGACY_SIZE = 20  # bytes, at least (MINIMUM_MAP_SIZE)
_VARIABLES = (".bss", ".data", ".rodata")
_NO_PROGRAMS = ("license", "version", "maps", ".maps", TEXT, *_VARIABLES, ".BTF")  # EbpfSectionKind::from_name
_NUMBERS = {
    "type": "type",
    "key_size": "key_size",
    "value_size": "value_size",
    "max_entries": "max_entries",
    "map_flags": "flags",
    "map_extra": "extra",
    "pinning": "pinning",
}


def holds_variables(name: str, size: int) -> bool:
    """Whether a section becomes a map: by how its name begins, of no byte too, which no kernel takes."""
    return name.startswith(_VARIABLES)


def definition(btf: Btf, name: str, struct_: kinds.Struct, where: str) -> MapSpec:
    """Return what aya reads off a map's struct (parse_btf_map_struct): of what is said twice the last, the rest not."""
    return _definition(btf, name, struct_, where, inner=False)


def _definition(btf: Btf, name: str, struct_: kinds.Struct, where: str, *, inner: bool) -> MapSpec:
    fields: dict[str, Any] = {}
    for member in struct_.members:
        if inner and member.name in ("pinning", "values"):
            raise ObjectUnsupported(f"its inner map says {member.name!r}, which aya does not take", where=where)
        if member.name in _NUMBERS:
            fields[_NUMBERS[member.name]] = _number(btf, member, where)
        elif member.name in ("key", "value"):
            target = btf.type(member.type)
            if not isinstance(target, kinds.Ptr):
                raise ObjectMalformed(f"its {member.name} is no pointer to a type: {target.kind}", where=where)
            try:
                fields[f"{member.name}_size"] = btf.size_of(target.type)
            except ValueError as e:
                raise ObjectMalformed(f"its {member.name} has no size ({e})", where=where) from e
            fields[f"{member.name}_type"] = target.type
        elif member.name == "values":
            fields["inner"], fields["value_size"] = _inner(btf, name, member, where), 4
    if fields.get("pinning", 0) > 1:
        fields["pinning"] = 0
    if fields.get("type", 0) in MAPS_OF_MAPS and "inner" not in fields:
        raise ObjectUnsupported("is a map of maps that does not say what it holds, which aya has to know", where=where)
    if fields.get("type", 0) not in MAPS_OF_MAPS:
        fields.pop("inner", None)
    return MapSpec(name=name, **{"type": 0, **fields})


def _number(btf: Btf, member: kinds.Member, where: str) -> int:
    """Return the number of __uint, the only form that aya reads (get_map_field)."""
    pointer = btf.type(member.type)
    found = btf.type(pointer.type) if isinstance(pointer, kinds.Ptr) else pointer
    if not isinstance(found, kinds.Array) or found is pointer:
        raise ObjectUnsupported(f"its {member.name} is no number that aya reads (__uint): {found.kind}", where=where)
    return found.count


def _inner(btf: Btf, name: str, member: kinds.Member, where: str) -> MapSpec:
    """Return what the elements are: structs that define maps, and no functions."""
    array = btf.type(member.type)
    pointer = btf.type(btf.resolve(array.type)) if isinstance(array, kinds.Array) and not array.count else None
    found = btf.type(btf.resolve(pointer.type)) if isinstance(pointer, kinds.Ptr) else None
    if not isinstance(found, kinds.Struct):
        raise ObjectUnsupported("its values are no maps, and aya fills no others", where=where)
    return _definition(btf, f"{name}.inner", found, where, inner=True)


# ----------------------------------------------------------------------------------------------------------- checks


def checks(match: Match) -> tuple[Check, ...]:
    """Return what refuses an object when it is opened; ``match`` says what a section's name stands for."""

    def sections(container: elf.Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
        """Each section of code has to stand for a program type, used or not (Object::parse_programs)."""
        for section in container.sections:
            code = section.type == "SHT_PROGBITS" and section.flags & elf.SHF_EXECINSTR and section.size
            if code and not section.name.startswith(_NO_PROGRAMS) and match(section.name)[0] is None:
                raise ObjectUnsupported("aya knows no such section", where=f"{spec.name}: section {section.name!r}")

    return (sections, _license, _byte_order, _legacy, _records, _text, _settings, _references)


def _license(container: elf.Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """One string with its zero, and no version that is no number (parse_license, parse_version)."""
    for section in container.sections:
        if section.name == "license" and (len(section.data) < 2 or section.data.find(b"\0") != len(section.data) - 1):
            raise ObjectUnsupported(f"its license is no string: {section.data!r}", where=spec.name)
        if section.name == "version" and section.size != 4:
            raise ObjectUnsupported(f"its version has {section.size} bytes, not 4", where=spec.name)


def _byte_order(container: elf.Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    if btf is not None and spec.byteorder == "big":
        raise ObjectUnsupported("aya reads no big-endian BTF", where=spec.name)


def _legacy(container: elf.Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """Each symbol of a legacy section is a map, the section's own too (parse_maps_section, parse_map_def)."""
    legacy = {s.number: s.name for s in container.sections if s.name.startswith("maps")}
    for symbol in container.symbols:
        if symbol.section in legacy and symbol.size < _LEGACY_SIZE:
            where = f"{spec.name}: section {legacy[symbol.section]!r}"
            raise ObjectMalformed(f"symbol {symbol.name!r} of {symbol.size} bytes is no map", where=where)


def _records(container: elf.Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """Records of kinds that aya knows (RelocationKind::try_from)."""
    for function in spec.functions.values():
        for index, record in function.core:
            if record.kind not in range(relokinds.TYPE_MATCHES):
                where = f"{spec.name}: {function.section}: record {index}"
                raise ObjectUnsupported(f"aya knows no {relokinds.name(record.kind)}", where=where)


def _text(container: elf.Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """Functions one after the other, without gaps or second names (Object::parse_text_section)."""
    for section in container.sections:
        if not section.name.startswith(TEXT):
            continue
        functions = {}
        for symbol in container.symbols:
            if symbol.section == section.number and symbol.type == elf.STT_FUNC:
                if symbol.value in functions:
                    text = f"two functions are at {symbol.value:#x}, which aya does not take"
                    raise ObjectUnsupported(text, where=f"{spec.name}: {section.name}")
                functions[symbol.value] = symbol.size
        at = 0
        while at < len(section.data):
            if not functions.get(at):
                text = f"no function is at {at:#x}, where aya wants one: behind another, without a gap"
                raise ObjectUnsupported(text, where=f"{spec.name}: {section.name}")
            at += functions[at]


def _settings(container: elf.Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """No variables of sections that the file does not have, used or not (Btf::fixup_and_sanitize): no settings."""
    names = {section.name for section in container.sections}
    for _, found in datasecs.datasecs(btf) if btf is not None else ():
        if not found.size and found.name not in names and found.name != ".ksyms":
            what = "settings of the kernel" if found.name == ".kconfig" else f"variables of section {found.name!r}"
            raise ObjectUnsupported(f"has {what}, and aya finds none", where=spec.name)


def _references(container: elf.Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """Only to functions, maps, variables and kernel symbols (relocate_maps, patch_extern_relocations)."""
    for function, kind, name in _named(spec):
        where = f"{spec.name}: {function}"
        if kind in (DATA, TABLE) and not name.startswith(_VARIABLES):
            raise ObjectUnsupported(f"refers to {name!r}, which aya makes no map of", where=where)
        if kind == MAP and spec.maps[name].legacy and not _begins(container, name):
            raise ObjectUnsupported(f"refers to map {name!r}, whose section aya takes for no maps", where=where)
        if kind in (EXTERN, EXTERN_CALL) and spec.externs[name].section != ".ksyms":
            raise ObjectUnsupported(f"refers to {name!r}, which is no symbol of the kernel", where=where)


def _named(spec: ObjectSpec) -> Iterator[tuple[str, str, str]]:
    """Yield (function, kind, name) of what instructions refer to."""
    for function in spec.functions.values():
        for reference in function.references:
            yield function.name, reference.kind, reference.name


def _begins(container: elf.Elf, name: str) -> bool:
    """Whether a map lies in a section whose name begins with ``maps``."""
    places = {symbol.section for symbol in container.symbols if symbol.name == name}
    return any(s.number in places and s.name.startswith("maps") for s in container.sections)
