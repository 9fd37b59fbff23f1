"""Damaging objects where it hurts: one section of a sound object, changed in a way that its reader may believe.

Noise is refused at the first check. So words become what a reader compares them with (limits, neighbours, other words
of the section), and records of 8 bytes, instructions among them, change places.
"""

from __future__ import annotations

import random
import struct

_EHDR = struct.Struct("<HHIQQQIHHHHHH")  # after e_ident, which takes 16 bytes
_SHDR = struct.Struct("<IIQQQQIIQQ")
_EXECINSTR, _NOBITS = 4, 8
_HEADERS = "section headers"
_LIMITS = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
# How often a part is chosen: the parts that the loader itself works on most.
_WEIGHTS = {".BTF": 8, ".BTF.ext": 4, ".symtab": 3, ".maps": 2, "maps": 2, ".strtab": 3, _HEADERS: 2}
_CODE, _RELOCATIONS, _OTHER = 6, 4, 1
_INSN = 8


def parts(data: bytes) -> dict[str, tuple[int, int, int]]:
    """Return the parts of a little-endian object that can be changed: name → start, end, weight."""
    _, _, _, _, _, table, _, _, _, _, size, count, names_at = _EHDR.unpack_from(data, 16)
    headers = [_SHDR.unpack_from(data, table + number * size) for number in range(count)]
    names = headers[names_at][4]
    found = {_HEADERS: (table, table + count * size, _WEIGHTS[_HEADERS])}
    for name_at, kind, flags, _, offset, length, *_ in headers:
        if kind == _NOBITS or not length:
            continue
        name = data[names + name_at : data.index(b"\0", names + name_at)].decode()
        weight = _CODE if flags & _EXECINSTR else _RELOCATIONS if name.startswith(".rel") else _OTHER
        if not name.startswith((".debug", ".rel.debug", ".llvm")):
            found[name] = offset, offset + length, _WEIGHTS.get(name, weight)
    return found


def mutate(data: bytes, dice: random.Random) -> tuple[bytes, str]:
    """Return a little-endian object with one to four changes in one of its parts, and the part's name."""
    known = parts(data)
    name = dice.choices(list(known), [weight for _, _, weight in known.values()])[0]
    start, end, _ = known[name]
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4))):
        _change(changed, start, end, dice)
    return bytes(changed), name


def _change(data: bytearray, start: int, end: int, dice: random.Random) -> None:
    way = dice.randrange(4)
    if end - start < 2 * _INSN or way == 0:
        data[dice.randrange(start, end)] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        return
    at = dice.randrange(start, end - 7, 4)
    (word,) = struct.unpack_from("<I", data, at)
    if way == 1:
        word = dice.choice((*_LIMITS, word + 1, word - 1, word * 2, word ^ 1 << dice.randrange(32)))
        struct.pack_into("<I", data, at, word & 0xFFFFFFFF)
    elif way == 2:
        data[at : at + 4] = data[(other := dice.randrange(start, end - 7, 4)) : other + 4]
    else:
        first, second = (start + dice.randrange((end - start) // _INSN) * _INSN for _ in range(2))
        data[first : first + _INSN], data[second : second + _INSN] = (
            data[second : second + _INSN],
            data[first : first + _INSN],
        )
