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
