"""The executable sections, cut into functions, with what each instruction refers to.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Optional

from everykernel.errors import ObjectMalformed, ObjectUnsupported
from everykernel.namedtuple import NamedTuple
from everykernel.object import elf
from everykernel.object.reading import LIBBPF, Reading
from everykernel.object.spec import CALL, DATA, EXTERN, EXTERN_CALL, FUNCTION, INSN, MAP, TABLE, Function, Reference

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from everykernel.btf.ext import BtfExt
    from everykernel.object.spec import DataSection, Extern

LDIMM64, CALL_OP = 0x18, 0x85  # BPF_LD | BPF_IMM | BPF_DW, BPF_JMP | BPF_CALL
PSEUDO_CALL = 1  # src_reg of a call inside the object (BPF_PSEUDO_CALL)

TEXT, ARENA_SECTION, TABLES_SECTION = ".text", ".addr_space.1", ".jumptables"
_ENTRY = 8  # bytes of a jump table's entry
# Binding and type of the symbols by which libbpf takes the address of a function (sym_is_subprog).
_ADDRESSED = {(elf.STB_LOCAL, elf.STT_SECTION), (elf.STB_GLOBAL, elf.STT_FUNC), (elf.STB_WEAK, elf.STT_FUNC)}


class Layout(NamedTuple):
    """What the references of code are resolved against; ``tables`` gets the jump tables that are found on the way."""

    container: elf.Elf
    ext: BtfExt
    map_places: Mapping[tuple[int, int], str]  # (section, offset) → map
    map_sections: set[int]
    data: Mapping[str, DataSection]
    externs: Mapping[str, Extern]
    name: str
    tables: dict[str, tuple[int, ...]]
    arena: str = ""  # the map that holds the variables of section ARENA_SECTION
    reading: Reading = LIBBPF


class _Places:
    """Where functions are: by section, sorted by offset. ``linked`` are the sections that are linked to callers."""

    def __init__(self, linked: Container[int]) -> None:
        self.linked = linked
        self.starts: dict[int, list[int]] = {}
        self.names: dict[int, list[str]] = {}

    def at(self, section: int, offset: int) -> Optional[tuple[str, int]]:
        """Return the function that holds a byte offset, and its start."""
        starts = self.starts.get(section, [])
        index = bisect_right(starts, offset) - 1
        return (self.names[section][index], starts[index]) if index >= 0 else None


def functions(layout: Layout, notes: list[str]) -> list[Function]:
    """Return the functions of all executable sections, in the order of sections and offsets.

    Of several names of one program, which attribute alias makes, libbpf 1.7 relocates only the one that comes first in
    the symbol table; ``notes`` says so. Raises ObjectMalformed for a function that is outside its section
    or overlaps another, and for references to nothing; ObjectUnsupported for static functions and calls that libbpf
    does not take, and for references that no loader resolves.
    """
    container = layout.container
    executable = {
        s.number: s for s in container.sections if s.flags & elf.SHF_EXECINSTR and s.type == "SHT_PROGBITS" and s.size
    }
    symbols: dict[int, list[elf.Symbol]] = {}
    for symbol in container.symbols:
        if symbol.type == elf.STT_FUNC and symbol.section in executable:
            symbols.setdefault(symbol.section, []).append(symbol)
    anywhere = layout.reading.any_section
    places = _Places({number for number, s in executable.items() if anywhere or s.name == TEXT})
    taken: set[str] = set()
    for section in executable.values():
        own = sorted(symbols.get(section.number, []), key=lambda s: s.value)
        if not layout.reading.aliases:
            own = list({s.value: s for s in own}.values())
        symbols[section.number] = own
        _check(section, own, layout)
        places.starts[section.number] = [s.value for s in own]
        places.names[section.number] = names = []
        for symbol in own:
            unique = symbol.name if symbol.name not in taken else f"{section.name}/{symbol.name}+{symbol.value:#x}"
            taken.add(unique)
            names.append(unique)
    found = []
    for section in executable.values():
        found.extend(_cut(layout, section, symbols[section.number], places, notes))
    return found


def _check(section: elf.Section, symbols: list[elf.Symbol], layout: Layout) -> None:
    """Raise where symbols are no functions that the loader takes (libbpf: bpf_object__add_programs)."""
    start, end = -1, 0
    for symbol in symbols:
        where = f"{layout.name}: section {section.name!r}: function {symbol.name!r}"
        if section.name != TEXT and symbol.bind == elf.STB_LOCAL and not layout.reading.static_functions:
            raise _static(symbol, symbols, where)
        if not symbol.size or symbol.value % INSN or symbol.size % INSN:
            raise ObjectMalformed(f"its {symbol.size} bytes at {symbol.value:#x} are no instructions", where=where)
        alias = (start, end) == (symbol.value, symbol.value + symbol.size)
        if symbol.value < end and not alias:
            raise ObjectMalformed(f"at {symbol.value:#x} overlaps the function before it (end {end:#x})", where=where)
        start, end = symbol.value, symbol.value + symbol.size
        if end > section.size:
            raise ObjectMalformed(f"ends past the section (end {end:#x}, size {section.size:#x})", where=where)


def _static(symbol: elf.Symbol, symbols: list[elf.Symbol], where: str) -> ObjectUnsupported:
    """Return what to raise for a local function that is not in .text."""
    other = next((s.name for s in symbols if s.value == symbol.value and s.bind != elf.STB_LOCAL), "")
    remedy = "take static from a program, and the section from a function that programs call"
    if other:
        remedy = f"it is another name of {other!r}: compile so that only that one is left"
    return ObjectUnsupported("is static, and libbpf takes no static programs", where=where, remedy=remedy)


def _cut(
    layout: Layout, section: elf.Section, symbols: list[elf.Symbol], places: _Places, notes: list[str]
) -> list[Function]:
    """Return the functions of one section."""
    ext = layout.ext
    relocations = sorted(layout.container.relocations.get(section.number, []), key=lambda r: r.offset)
    offsets = [r.offset for r in relocations]
    infos = {info.insn_off: info for info in ext.func_info.get(section.name, ())}
    lines = sorted(ext.line_info.get(section.name, ()))
    line_offsets = [line[0] for line in lines]
    core = list(enumerate(ext.core.get(section.name, ())))
    found: list[Function] = []
    for symbol, name in zip(symbols, places.names[section.number]):
        start, end = symbol.value, symbol.value + symbol.size
        code = section.data[start:end]
        own = relocations[bisect_left(offsets, start) : bisect_left(offsets, end)]
        alias = section.name != TEXT and bool(found) and found[-1].start == start
        if alias and (own or core):
            own = []
            notes.append(
                f"{section.name}: {name!r} is another name of {found[-1].name!r}: libbpf relocates one of them"
            )
        references = [_reference(layout, name, start, code, r, places) for r in own]
        references += _inner_calls(layout, section, name, start, code, {r.offset - start for r in own}, places)
        references.sort()
        found.append(
            Function(
                name=name,
                section=section.name,
                start=start,
                code=code,
                references=tuple(references),
                core=() if alias else tuple(c for c in core if start <= c[1].insn_off < end),
                func_info=infos.get(start),
                line_info=tuple(lines[bisect_left(line_offsets, start) : bisect_left(line_offsets, end)]),
            )
        )
    return found


def _inner_calls(
    layout: Layout, section: elf.Section, name: str, start: int, code: bytes, relocated: set[int], places: _Places
) -> list[Reference]:
    """Return the calls to functions of the same section, for which compilers leave no relocation."""
    found = []
    at = code.find(CALL_OP)
    while at >= 0:
        if at % INSN == 0 and _source(layout, code[at + 1]) == PSEUDO_CALL and at not in relocated:
            (offset,) = struct.unpack_from(_order(layout) + "i", code, at + 4)
            there = start + at + INSN * (offset + 1)
            found.append(_call(layout, section.number, section, name, at, there, places))
        at = code.find(CALL_OP, at + 1)
    return found


def _order(layout: Layout) -> str:
    return "<" if layout.container.byteorder == "little" else ">"


def _reference(
    layout: Layout, name: str, start: int, code: bytes, relocation: elf.Relocation, places: _Places
) -> Reference:
    """Return what one relocation's instruction refers to (libbpf's bpf_program__record_reloc)."""
    at, symbol = relocation.offset - start, relocation.symbol
    index = at // INSN
    where = f"{layout.name}: {name}: instruction {index}"
    if at % INSN:
        raise ObjectMalformed(f"a relocation at {relocation.offset:#x} is inside an instruction", where=where)
    opcode, sources = code[at], code[at + 1]
    if opcode not in (CALL_OP, LDIMM64):
        raise ObjectUnsupported(f"a relocation against {symbol.name!r} of an instruction {opcode:#04x}", where=where)
    if opcode == LDIMM64 and at + 2 * INSN > len(code):
        raise ObjectMalformed("a 64-bit load lacks its second half", where=where)
    (immediate,) = struct.unpack_from(_order(layout) + "i", code, at + 4)
    if symbol.section == elf.SHN_UNDEF and symbol.name in layout.externs:
        return Reference(index, EXTERN_CALL if opcode == CALL_OP else EXTERN, symbol.name)
    if not elf.SHN_UNDEF < symbol.section < min(elf.SHN_LORESERVE, len(layout.container.sections)):
        raise ObjectMalformed(
            f"refers to {symbol.name!r} in special section {symbol.section:#x}", where=where,
            remedy="initialise the variable, or declare it extern in .kconfig or .ksyms",
        )  # fmt: skip
    target = layout.container.sections[symbol.section]
    if opcode == CALL_OP:
        if _source(layout, sources) != PSEUDO_CALL:
            raise ObjectMalformed(f"calls {symbol.name!r}, and is no call of a function", where=where)
        return _call(layout, symbol.section, target, name, at, symbol.value + INSN * (immediate + 1), places)
    if symbol.section in places.starts and (symbol.bind, symbol.type) in _ADDRESSED:
        return _address(symbol, target, index, symbol.value + immediate, places, where)
    if target.name == TABLES_SECTION:
        return Reference(index, TABLE, _table(layout, symbol, target, where))
    if symbol.section in layout.map_sections:
        map_name = layout.map_places.get((symbol.section, symbol.value if symbol.name else immediate))
        if map_name is None:
            raise ObjectMalformed(
                f"refers to {symbol.name!r} at {target.name}+{symbol.value:#x}, where the object's BTF has no map",
                where=where,
                remedy="where a weak map gave way to another in linking, link the object of that other one first",
            )
        return Reference(index, MAP, map_name)
    if target.name in layout.data:
        return Reference(index, DATA, target.name, symbol.value)
    if target.name == ARENA_SECTION and layout.arena:
        return Reference(index, DATA, layout.arena, symbol.value)
    raise ObjectUnsupported(f"refers to section {target.name!r}, whose content no program gets", where=where)


def _table(layout: Layout, symbol: elf.Symbol, target: elf.Section, where: str) -> str:
    """Keep the jump table that a symbol stands for and return its name (libbpf's create_jt_map)."""
    name = f"{target.name}+{symbol.value:#x}"
    if (
        symbol.value % _ENTRY
        or symbol.size % _ENTRY
        or not symbol.size
        or symbol.value + symbol.size > len(target.data)
    ):
        raise ObjectMalformed(f"refers to {name}, where no jump table of {symbol.size} bytes can be", where=where)
    order = _order(layout)
    layout.tables[name] = struct.unpack_from(f"{order}{symbol.size // _ENTRY}Q", target.data, symbol.value)
    return name


def _source(layout: Layout, registers: int) -> int:
    """Return src_reg: the high half of the byte in little-endian objects, the low half in big-endian ones."""
    return registers >> 4 if layout.container.byteorder == "little" else registers & 15


def _address(
    symbol: elf.Symbol, target: elf.Section, index: int, offset: int, places: _Places, where: str
) -> Reference:
    if symbol.section not in places.linked:
        raise _outside(f"takes the address of {target.name}+{offset:#x}", where)
    found = places.at(symbol.section, offset)
    if found is None or found[1] != offset:
        raise ObjectMalformed(f"takes the address of {target.name}+{offset:#x}, where no function starts", where=where)
    return Reference(index, FUNCTION, found[0])


def _call(
    layout: Layout, number: int, target: elf.Section, name: str, at: int, offset: int, places: _Places
) -> Reference:
    where = f"{layout.name}: {name}: instruction {at // INSN}"
    if number not in places.linked:
        raise _outside(f"calls {target.name}+{offset:#x}", where)
    found = places.at(number, offset)
    if found is None or found[1] != offset:
        raise ObjectMalformed(f"calls {target.name}+{offset:#x}, where no function starts", where=where)
    return Reference(at // INSN, CALL, found[0])


def _outside(what: str, where: str) -> ObjectUnsupported:
    remedy = "take the section from the function that is called"
    return ObjectUnsupported(f"{what}, and libbpf links functions of {TEXT} only", where=where, remedy=remedy)
