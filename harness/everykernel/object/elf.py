"""The ELF container of an object: what compilers write by struct, what is unusual through pyelftools.

pyelftools takes longer to import than an object to read, and its per-record decoding is too slow for tables of hundreds
of entries in a guest whose Python is ten times slower. It reads the headers where they are not what a compiler for BPF
writes: it knows names for all that there may be, and says what is wrong.

This module travels to the guest: standard library and pyelftools only, Python 3.9.
"""

from __future__ import annotations

import io
import struct
from typing import Any, Optional

from everykernel.errors import ObjectMalformed, ObjectUnsupported
from everykernel.namedtuple import NamedTuple

SHT_NOBITS, SHT_REL = "SHT_NOBITS", "SHT_REL"
SHN_UNDEF, SHN_LORESERVE = 0, 0xFF00
SHF_WRITE, SHF_EXECINSTR = 1, 4
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
EM_BPF, ET_REL = 247, 1
_EM_NONE = 0  # clang before 3.9
_IDENT = 16  # bytes of e_ident
_COMPILE = "compile it with clang -target bpf -c"
_ADDRSIG = 0x6FFF4C03  # SHT_LLVM_ADDRSIG, for which pyelftools has no name
_USUAL = {
    0: "SHT_NULL", 1: "SHT_PROGBITS", 2: "SHT_SYMTAB", 3: "SHT_STRTAB", 8: SHT_NOBITS, 9: SHT_REL, _ADDRSIG: _ADDRSIG,
}  # fmt: skip
_HEADER, _SECTION = "16s2HI3QI6H", "2I4Q2I2Q"  # Elf64_Ehdr and Elf64_Shdr (include/uapi/linux/elf.h)
_KEYS = ("sh_name", "sh_type", "sh_flags", "sh_offset", "sh_size", "sh_link", "sh_info")
_OVERLAP = 4  # times the file that its sections may take together: they do not overlap in what compilers write

STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION = 0, 1, 2, 3


def is_object(data: bytes) -> bool:
    """Whether bytes begin as a BPF object does, sound or not."""
    if data[:4] != b"\x7fELF" or data[4:5] != b"\2" or data[5:6] not in (b"\1", b"\2") or len(data) < _IDENT + 4:
        return False
    kind, machine = struct.unpack_from("<HH" if data[5] == 1 else ">HH", data, _IDENT)
    return kind == ET_REL and machine in (EM_BPF, _EM_NONE)


class Section(NamedTuple):
    """One section; ``data`` is empty for SHT_NOBITS, whose ``size`` still counts."""

    number: int
    name: str
    type: str
    flags: int
    size: int
    data: bytes


class Symbol(NamedTuple):
    """One symbol; ``section`` is an index (SHN_UNDEF: none)."""

    name: str
    value: int
    size: int
    type: int
    bind: int
    visibility: int
    section: int


class Relocation(NamedTuple):
    """One relocation: byte offset in the section that it applies to, symbol, type (R_BPF_*)."""

    offset: int
    symbol: Symbol
    type: int


class Elf(NamedTuple):
    """An object's container; ``relocations`` are by the index of the section they apply to."""

    byteorder: str
    sections: list[Section]
    symbols: list[Symbol]
    relocations: dict[int, list[Relocation]]


_structs: dict[bool, Any] = {}


def layouts(little: bool) -> Any:
    """Return pyelftools' layouts of 64-bit headers: it takes longer to make them than to read a file by them."""
    found = _structs.get(little)
    if found is None:
        from elftools.elf.structs import ELFStructs  # imported late: it takes longer than the rest of the package

        found = _structs[little] = ELFStructs(little_endian=little, elfclass=64)
        found.create_basic_structs()
        found.create_advanced_structs("ET_REL", "EM_BPF", "ELFOSABI_NONE")
    return found


def read(data: bytes, name: str) -> Elf:
    """Return sections, symbols and relocations of an object's bytes.

    Raises ObjectMalformed for bytes that are no sound ELF file, ObjectUnsupported for one that holds no BPF code.
    """
    if data[:4] != b"\x7fELF":
        raise ObjectMalformed(f"is no ELF file (it starts with {data[:4].hex() or 'nothing'})", where=name)
    if data[4:5] != b"\2" or data[5:6] not in (b"\1", b"\2"):
        raise ObjectUnsupported("is no 64-bit ELF file", where=name, remedy=_COMPILE)
    little = data[5] == 1
    names, headers = _usual(data, little) or _unusual(data, little, name)
    sections, links = _sections(names, headers, data, name)
    order = "<" if little else ">"
    tables = [s for s in sections if s.type == "SHT_SYMTAB"]
    if not tables:
        raise ObjectMalformed("has no symbol table", where=name)
    strings = _linked(sections, links[tables[0].number][0], name)
    symbols = _symbols(tables[0].data, strings.data, order, name)
    relocations: dict[int, list[Relocation]] = {}
    for section in sections:
        if section.type == SHT_REL:
            target = _linked(sections, links[section.number][1], name)
            relocations.setdefault(target.number, []).extend(_relocations(section, symbols, order, name))
    return Elf("little" if little else "big", sections, symbols, relocations)


def _usual(data: bytes, little: bool) -> Optional[tuple[int, list[dict[str, Any]]]]:
    """Return the number of the section with the names, and the section headers; None unless all is usual."""
    order = "<" if little else ">"
    if len(data) < struct.calcsize(order + _HEADER):
        return None
    _, kind, machine, _, _, _, start, _, _, _, _, step, count, names = struct.unpack_from(order + _HEADER, data)
    if kind != ET_REL or machine not in (EM_BPF, _EM_NONE) or step != struct.calcsize(order + _SECTION):
        return None
    if start + count * step > len(data):
        return None
    found = []
    for fields in struct.iter_unpack(order + _SECTION, data[start : start + count * step]):
        name, number, flags, _, offset, size, link, info, _, _ = fields
        type_ = _USUAL.get(number)
        if type_ is None:
            return None
        found.append(dict(zip(_KEYS, (name, type_, flags, offset, size, link, info))))
    return names, found


def _unusual(data: bytes, little: bool, name: str) -> tuple[int, list[Any]]:
    """Return the same as pyelftools decodes it; raise ObjectMalformed, and ObjectUnsupported for no BPF code."""
    stream = io.BytesIO(data)
    try:
        header = layouts(little).Elf_Ehdr.parse_stream(stream)
    except Exception as e:  # pyelftools raises whatever its parser meets: struct, construct, Unicode and key errors
        raise ObjectMalformed(f"its ELF header cannot be read ({e or type(e).__name__})", where=name) from e
    machine, kind = header["e_machine"], header["e_type"]
    if machine not in ("EM_BPF", "EM_NONE") or kind != "ET_REL":
        raise ObjectUnsupported(f"holds no BPF code: {machine} {kind}", where=name, remedy=_COMPILE)
    try:
        headers = _headers(header, stream, layouts(little).Elf_Shdr)
    except Exception as e:
        raise ObjectMalformed(f"its section headers cannot be read ({e or type(e).__name__})", where=name) from e
    return header["e_shstrndx"], headers


def _headers(header: Any, stream: io.BytesIO, layout: Any) -> list[Any]:
    """Return the section headers as pyelftools decodes them."""
    start, step, count = header["e_shoff"], header["e_shentsize"], header["e_shnum"]
    if step != layout.sizeof():
        raise ValueError(f"each takes {step} bytes instead of {layout.sizeof()}")
    found = []
    for number in range(count):
        stream.seek(start + number * step)
        found.append(layout.parse_stream(stream))
    return found


def _sections(strings: int, headers: list[Any], data: bytes, name: str) -> tuple[list[Section], list[tuple[int, int]]]:
    """Return the sections and each one's sh_link and sh_info."""
    sections, links = [], []
    if strings >= len(headers):
        raise ObjectMalformed(f"has no section names (section {strings} of {len(headers)})", where=name)
    table = headers[strings]
    names = data[table["sh_offset"] : table["sh_offset"] + table["sh_size"]]
    left = _OVERLAP * len(data)
    for index, entry in enumerate(headers):
        kind, offset, size = entry["sh_type"], entry["sh_offset"], entry["sh_size"]
        text = _string(names, entry["sh_name"], f"{name}: section {index}")
        if kind in (SHT_NOBITS, "SHT_NULL"):
            content = b""
        else:
            content = data[offset : offset + size]
            left -= size
            if left < 0:
                raise ObjectMalformed(f"its sections take more than {_OVERLAP} times the file", where=name)
            if len(content) != size:
                raise ObjectMalformed(
                    f"section {text!r} at {offset:#x} ends past the file (size {size:#x})", where=name
                )
        sections.append(Section(index, text, kind, entry["sh_flags"], size, content))
        links.append((entry["sh_link"], entry["sh_info"]))
    return sections, links


def _linked(sections: list[Section], index: int, name: str) -> Section:
    if not 0 < index < len(sections):
        raise ObjectMalformed(f"a section refers to section {index} of {len(sections)}", where=name)
    return sections[index]


def _string(strings: bytes, offset: int, where: str) -> str:
    end = strings.find(b"\0", offset)
    if offset > len(strings) or end < 0:
        raise ObjectMalformed(f"its name at {offset:#x} is past the strings (size {len(strings):#x})", where=where)
    return strings[offset:end].decode("utf-8", "surrogateescape")


def _symbols(data: bytes, strings: bytes, order: str, name: str) -> list[Symbol]:
    if len(data) % 24:
        raise ObjectMalformed(f"its symbol table of {len(data):#x} bytes is no multiple of 24", where=name)
    where = f"{name}: symbol table"
    return [
        Symbol(_string(strings, at, where) if at else "", value, size, info & 15, info >> 4, other & 3, section)
        for at, info, other, section, value, size in struct.iter_unpack(order + "IBBHQQ", data)
    ]


def _relocations(section: Section, symbols: list[Symbol], order: str, name: str) -> list[Relocation]:
    if len(section.data) % 16:
        raise ObjectMalformed(f"section {section.name!r} of {section.size:#x} bytes is no multiple of 16", where=name)
    found = []
    for number, (offset, info) in enumerate(struct.iter_unpack(order + "QQ", section.data)):
        if info >> 32 >= len(symbols):
            raise ObjectMalformed(
                f"record {number} refers to symbol {info >> 32} of {len(symbols)}", where=f"{name}: {section.name}"
            )
        found.append(Relocation(offset, symbols[info >> 32], info & 0xFFFFFFFF))
    return found
