"""What cilium/ebpf v0.22.0 refuses when it opens an object (LoadCollectionSpec), beside what every loader does.

In brackets: the function of that release to read.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds
from everykernel.errors import ObjectUnsupported
from everykernel.object import elf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everykernel.btf import Btf
    from everykernel.object.elf import Elf, Relocation, Section
    from everykernel.object.spec import ObjectSpec

_LEGACY = 20  # bytes of struct bpf_map_def: five words
_LENGTHS = 8  # offset in .BTF.ext of where information on functions starts, its length, and the same of lines
_MAPS, _LINKED, _UNLINKED = ".maps", ".struct_ops.link", ".struct_ops"


def holds_variables(name: str, size: int) -> bool:
    """Whether a section becomes a map: of some bytes, by its name."""
    return size > 0 and _holds_data(name)


def _holds_data(name: str) -> bool:
    """Whether a section holds global variables (isDataSection)."""
    return name == ".bss" or name.startswith((".data", ".rodata"))


def _holds_code(section: Section) -> bool:
    return section.type == "SHT_PROGBITS" and bool(section.flags & elf.SHF_EXECINSTR) and section.size > 0


def _read(section: Section) -> bool:
    """Whether the library looks into a section at all (LoadCollectionSpecFromReader)."""
    name = section.name
    if name.startswith(("license", "version")):
        return False
    return name.startswith("maps") or name in (_MAPS, _LINKED) or _holds_data(name) or _holds_code(section)


def _references(container: Elf, *, code: bool) -> Iterator[tuple[Section, Relocation]]:
    """Yield the relocations of the sections that are read, or of those with code only."""
    for section in container.sections:
        if _holds_code(section) if code else _read(section):
            for relocation in container.relocations.get(section.number, ()):
                yield section, relocation


def structs(container: Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """Refuse operations structs that are not attached by a link (LoadCollectionSpecFromReader)."""
    for section in container.sections:
        if section.name == _UNLINKED and section.type == "SHT_PROGBITS" and section.size:
            raise ObjectUnsupported("is not taken, .struct_ops.link is", where=f"{spec.name}: {_UNLINKED}")


def symbols(container: Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """Refuse typed variables of the kernel, used or not (btf/btf.go: elfData.fixupDatasec)."""
    number = btf.find(".ksyms", "datasec") if btf is not None else None
    if btf is None or number is None:
        return
    for entry in btf.type(number).variables:  # type: ignore[union-attr]
        variable = btf.type(entry.type)
        if isinstance(variable, kinds.Var) and variable.type != 0:
            what = f"has to be plain void, and is a {btf.type(variable.type).kind}"
            raise ObjectUnsupported(what, where=f"{spec.name}: extern {variable.name!r}")


def sections(container: Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """Refuse references into sections that are not read (loadRelocations)."""
    for section, relocation in _references(container, code=False):
        symbol = relocation.symbol
        known = symbol.section == elf.SHN_UNDEF or (
            symbol.section < len(container.sections) and _read(container.sections[symbol.section])
        )
        if not known:
            here = symbol.section < len(container.sections)
            target = container.sections[symbol.section].name if here else f"{symbol.section:#x}"
            what = f"refers to {symbol.name!r} in section {target!r}, which is not read"
            raise ObjectUnsupported(what, where=f"{spec.name}: {section.name}")


def maps(container: Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """Refuse the use of maps that are static or weak (relocateInstruction)."""
    for _, relocation in _references(container, code=True):
        symbol = relocation.symbol
        target = container.sections[symbol.section]
        if symbol.section == elf.SHN_UNDEF or not (target.name == _MAPS or target.name.startswith("maps")):
            continue
        if symbol.bind != elf.STB_GLOBAL:
            what = "static" if symbol.bind == elf.STB_LOCAL else "weak"
            raise ObjectUnsupported(f"is {what}, and used", where=f"{spec.name}: map {symbol.name or target.name!r}")


def settings(container: Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """Refuse the use of weak settings of the kernel's configuration (relocateInstruction)."""
    for _, relocation in _references(container, code=True):
        extern = spec.externs.get(relocation.symbol.name)
        if extern is not None and extern.section == ".kconfig" and extern.weak:
            raise ObjectUnsupported("is weak, and a setting", where=f"{spec.name}: extern {extern.name!r}")


def calls(container: Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """Refuse calls of static functions by their own names, and addresses of functions that are not global."""
    for _, relocation in _references(container, code=True):
        symbol = relocation.symbol
        if symbol.section == elf.SHN_UNDEF or not _holds_code(container.sections[symbol.section]):
            continue
        if symbol.type == elf.STT_FUNC and symbol.bind == elf.STB_LOCAL:
            what = "is referred to by its own name, and is static"
            raise ObjectUnsupported(what, where=f"{spec.name}: function {symbol.name!r}")


def names(container: Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """Refuse two functions of one name, in one section or in two (loadFunctions, loadProgramSections)."""
    code = {section.number for section in container.sections if _holds_code(section)}
    places = {(s.section, s.value): s.name for s in container.symbols if s.section in code and s.type == elf.STT_FUNC}
    for name, count in Counter(places.values()).items():
        if count > 1:
            raise ObjectUnsupported(f"{count} functions have this name", where=f"{spec.name}: function {name!r}")


def definitions(container: Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """Refuse maps whose definition has content, or in a legacy section too little of it (loadBTFMaps, loadMaps)."""
    sections = {s.number: s for s in container.sections}
    for symbol in container.symbols:
        section = sections.get(symbol.section)
        if section is None or not symbol.name or symbol.type not in (elf.STT_NOTYPE, elf.STT_OBJECT):
            continue
        where = f"{spec.name}: map {symbol.name!r}"
        if section.name == _MAPS and any(section.data[symbol.value : symbol.value + symbol.size]):
            raise ObjectUnsupported("its definition is initialised", where=where)
        if section.name.startswith("maps") and symbol.size < _LEGACY:
            raise ObjectUnsupported(f"its definition has {symbol.size} bytes, not {_LEGACY}", where=where)


def information(container: Elf, btf: Optional[Btf], spec: ObjectSpec) -> None:
    """Refuse a .BTF.ext without information on functions or lines (btf/ext_info.go: parseFuncInfos, parseLineInfos)."""
    order = "<" if container.byteorder == "little" else ">"
    for section in container.sections:
        if section.name == ".BTF.ext" and btf is not None and len(section.data) >= _LENGTHS + 16:
            _, functions, _, lines = struct.unpack_from(f"{order}4I", section.data, _LENGTHS)
            if not functions or not lines:
                raise ObjectUnsupported("has no information on functions or lines", where=f"{spec.name}: .BTF.ext")


CHECKS = (structs, symbols, sections, maps, settings, calls, names, definitions, information)
