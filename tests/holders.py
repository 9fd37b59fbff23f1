"""Writes 64-bit ELF programs for tests: bytes mapped at an address, with symbols and relocations without a symbol."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

_MACHINE, _BASE, _HEADER = 62, 0x400000, 64  # EM_X86_64
_NULL, _PROGBITS, _SYMTAB, _STRTAB, _RELA = 0, 1, 2, 3, 4


class Symbol(NamedTuple):
    """A data symbol: name, address and size."""

    name: str
    address: int
    size: int


def address(offset: int) -> int:
    """Return the address of a byte of what a program holds."""
    return _BASE + offset


def program(content: bytes, symbols: Sequence[Symbol], relocations: Sequence[tuple[int, int]] = ()) -> bytes:
    """Return a program that holds ``content``; ``relocations`` are (place, address that is put there)."""
    names, table = b"\0", bytes(24)
    for symbol in symbols:
        table += struct.pack("<IBBHQQ", len(names), 1, 0, 1, symbol.address, symbol.size)
        names += symbol.name.encode() + b"\0"
    rela = b"".join(struct.pack("<QQq", place, 8, value) for place, value in relocations)
    parts = [(_NULL, 0, 0, b"", 0), (_PROGBITS, 2, _BASE, content, 0), (_RELA, 0, 0, rela, 0)]
    parts += [(_SYMTAB, 0, 0, table, 4), (_STRTAB, 0, 0, names, 0)]
    body, headers = b"", b""
    for kind, flags, where, data, link in parts:
        headers += struct.pack("<IIQQQQIIQQ", 0, kind, flags, where, _HEADER + len(body), len(data), link, 0, 1, 24)
        body += data
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = struct.pack(
        "<HHIQQQIHHHHHH", 2, _MACHINE, 1, 0, 0, _HEADER + len(body), 0, 64, 0, 0, 64, len(parts), len(parts) - 1
    )
    return ident + head + body + headers
