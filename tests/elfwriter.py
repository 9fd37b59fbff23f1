"""Writes small relocatable BPF objects for tests: sections and symbols, no relocations."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

PROGBITS, SYMTAB, STRTAB = 1, 2, 3
_ALLOC_EXEC = 6


def bpf_object(
    code: Mapping[str, bytes],
    functions: Sequence[tuple[str, str, int, int]],
    data: Mapping[str, bytes],
    *,
    big: bool = False,
) -> bytes:
    """Return an ELF file.

    Args:
        code: executable sections by name.
        functions: name, section, offset and size of each global function.
        data: other sections by name: ``license``, ``.BTF`` …
        big: write a big-endian file.
    """
    order = ">" if big else "<"
    names = ["", *code, *data, ".symtab", ".strtab", ".shstrtab"]
    name_offsets, section_names = _strings(names)
    symbol_offsets, symbol_names = _strings(["", *(name for name, *_ in functions)])
    symbols = struct.pack(order + "IBBHQQ", 0, 0, 0, 0, 0, 0)
    for name, section, at, size in functions:
        symbols += struct.pack(order + "IBBHQQ", symbol_offsets[name], 0x12, 0, names.index(section), at, size)
    strtab = names.index(".strtab")
    contents = [b"", *code.values(), *data.values(), symbols, symbol_names, section_names]
    kinds = [0, *[PROGBITS] * (len(code) + len(data)), SYMTAB, STRTAB, STRTAB]
    body, headers = b"", b""
    for number, (name, content, kind) in enumerate(zip(names, contents, kinds, strict=True)):
        body += bytes(-len(body) % 8)
        flags = _ALLOC_EXEC if name in code else 0
        link, info, entry = (strtab, 1, 24) if kind == SYMTAB else (0, 0, 0)
        offset = 64 + len(body) if number else 0
        headers += struct.pack(
            order + "IIQQQQIIQQ", name_offsets[name], kind, flags, 0, offset, len(content), link, info, 8, entry
        )
        body += content
    body += bytes(-len(body) % 8)
    ident = b"\x7fELF\x02" + (b"\x02" if big else b"\x01") + b"\x01" + bytes(9)
    head = struct.pack(
        order + "HHIQQQIHHHHHH", 1, 247, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(names), len(names) - 1
    )
    return ident + head + body + headers


def _strings(names: Sequence[str]) -> tuple[dict[str, int], bytes]:
    table = b"\0"
    offsets = {"": 0}
    for name in names:
        if name not in offsets:
            offsets[name] = len(table)
            table += name.encode() + b"\0"
    return offsets, table


NOBITS, REL = 8, 9
WRITE, ALLOC, EXECUTE = 1, 2, 4
LOCAL, GLOBAL, WEAK = 0, 1, 2
NOTYPE, OBJECT, FUNC, SECTION = 0, 1, 2, 3
R_BPF_64_64, R_BPF_64_32 = 1, 10


def insn(opcode: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    """Return one little-endian instruction."""
    return struct.pack("<BBhi", opcode, src << 4 | dst, off, imm)


def load64(dst: int = 1, src: int = 0, imm: int = 0) -> bytes:
    """Return a 64-bit load, of 16 bytes."""
    return insn(0x18, dst, src, 0, imm) + insn(0)


def call(imm: int = -1, src: int = 1) -> bytes:
    """Return a call, of a function of the object unless ``src`` is 0."""
    return insn(0x85, 0, src, 0, imm)


MOV0, EXIT = insn(0xB7), insn(0x95)


class ObjectWriter:
    """Writes a little-endian object section by section, with symbols and relocations.

    Symbols are referred to by name; a section symbol's is its section's name.
    """

    def __init__(self, *, machine: int = 247, elf_type: int = 1) -> None:
        self.machine, self.elf_type = machine, elf_type
        self.sections: list[tuple[str, int, int, bytes, int]] = [("", 0, 0, b"", 0)]  # name, type, flags, data, size
        self.symbols: list[tuple[str, int, int, int, int, int, int]] = []
        self.relocations: dict[str, list[tuple[int, str, int]]] = {}

    def section(
        self, name: str, data: bytes = b"", *, flags: int = ALLOC, kind: int = PROGBITS, size: int = -1
    ) -> None:
        """Add a section; ``size`` differs from the data's for NOBITS."""
        self.sections.append((name, kind, flags, data, len(data) if size < 0 else size))

    def code(self, name: str, **functions: bytes) -> None:
        """Add an executable section of global functions, one after another."""
        self.section(name, b"".join(functions.values()), flags=ALLOC | EXECUTE)
        at = 0
        for function, data in functions.items():
            self.symbol(function, name, at, len(data))
            at += len(data)

    def symbol(
        self, name: str, section: str | int, value: int = 0, size: int = 0, *, kind: int = FUNC, bind: int = GLOBAL,
        visibility: int = 0,
    ) -> None:  # fmt: skip
        """Add a symbol of a section (by name, or a special index; 0: undefined)."""
        index = section if isinstance(section, int) else next(i for i, s in enumerate(self.sections) if s[0] == section)
        self.symbols.append((name, index, value, size, kind, bind, visibility))

    def relocate(self, section: str, offset: int, symbol: str, kind: int = R_BPF_64_64) -> None:
        """Add a relocation of a section's bytes against a symbol."""
        self.relocations.setdefault(section, []).append((offset, symbol, kind))

    def build(self) -> bytes:
        """Return the file."""
        symbols = [("", 0, 0, 0, 0, 0, 0), *sorted(self.symbols, key=lambda s: s[5] != LOCAL)]
        offsets, names = _strings(["", *(s[0] for s in symbols)])
        table = b"".join(
            struct.pack("<IBBHQQ", offsets[n], bind << 4 | kind, visibility, section, value, size)
            for n, section, value, size, kind, bind, visibility in symbols
        )
        numbers = {s[0] or f"section {s[1]}": i for i, s in enumerate(symbols)}
        sections = list(self.sections)
        symtab = len(sections) + len(self.relocations)
        indexes = {s[0]: i for i, s in enumerate(self.sections)}
        links = {symtab: (symtab + 1, 1, 24)}
        for section, records in self.relocations.items():
            data = b"".join(
                struct.pack("<QQ", offset, numbers[symbol] << 32 | kind) for offset, symbol, kind in records
            )
            links[len(sections)] = (symtab, indexes[section], 16)
            sections.append((f".rel{section}", REL, 0, data, len(data)))
        sections += [(".symtab", SYMTAB, 0, table, len(table)), (".strtab", STRTAB, 0, names, len(names))]
        where, section_names = _strings(["", *(s[0] for s in sections), ".shstrtab"])
        sections.append((".shstrtab", STRTAB, 0, section_names, len(section_names)))
        body, headers = b"", b""
        for index, (name, kind, flags, data, size) in enumerate(sections):
            body += bytes(-len(body) % 8)
            link, info, entry = links.get(index, (0, 0, 0))
            headers += struct.pack(
                "<IIQQQQIIQQ", where[name], kind, flags, 0, 64 + len(body), size, link, info, 8, entry
            )
            body += data
        body += bytes(-len(body) % 8)
        head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack(
            "<HHIQQQIHHHHHH", self.elf_type, self.machine, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(sections),
            len(sections) - 1,
        )  # fmt: skip
        return head + body + headers
