"""The header of BTF data: where types, strings and layouts are, and in which byte order.

The checks are those of libbpf 1.7 (btf_parse_hdr, btf_parse_str_sec) and of 1.8 for the layout section, which lets a
reader step over kinds that it does not know.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import Optional, Union

from everykernel.btf import kinds
from everykernel.dataclass import dataclass, field
from everykernel.errors import BtfMalformed

MAGIC = 0xEB9F
MIN_HEADER = 24  # bytes up to and with str_len
LAYOUT_HEADER = 32  # bytes with layout_off and layout_len
MAX_STRINGS = 0x7FFFFFFF  # libbpf's BTF_MAX_STR_OFFSET

# 32-bit words of a record: fixed part, then words for each of its vlen items.
KNOWN = len(kinds.KIND_NAMES)
_FIXED_WORDS = [3] * KNOWN + [0] * (128 - KNOWN)
_ITEM_WORDS = [0] * 128
for _kind, _extra in ((kinds.INT, 1), (kinds.ARRAY, 3), (kinds.VAR, 1), (kinds.DECL_TAG, 1)):
    _FIXED_WORDS[_kind] += _extra
for _kind, _words in (
    (kinds.STRUCT, 3), (kinds.UNION, 3), (kinds.ENUM, 2), (kinds.FUNC_PROTO, 2), (kinds.DATASEC, 3), (kinds.ENUM64, 3),
):  # fmt: skip
    _ITEM_WORDS[_kind] = _words


@dataclass(frozen=True)
class Header:
    """Byte ranges in the data, and words a record of each kind takes (0 fixed words: unknown kind)."""

    byteorder: str
    types: tuple[int, int]
    strings: tuple[int, int]
    fixed_words: list[int] = field(repr=False)
    item_words: list[int] = field(repr=False)


def image(byteorder: str, types: bytes, strings: bytes) -> bytes:
    """Return BTF data of types, whose words are in this byte order, and strings, behind the smallest header."""
    order, sizes = "<" if byteorder == "little" else ">", (0, len(types), len(types), len(strings))
    return struct.pack(f"{order}HBBIIIII", MAGIC, 1, 0, MIN_HEADER, *sizes) + types + strings


def parse(data: Union[bytes, memoryview], *, name: str, base: Optional[Header] = None) -> Header:
    """Return the header of BTF bytes, every range checked; raise BtfMalformed.

    ``base`` is the header of the BTF that this one continues, whose layouts of unknown kinds hold here too.
    """

    def bad(message: str) -> BtfMalformed:
        return BtfMalformed(message, where=f"{name}: BTF header")

    if len(data) < MIN_HEADER:
        raise bad(f"{len(data)} bytes are too few for a header of {MIN_HEADER}")
    magic = struct.unpack_from("<H", data)[0]
    if magic == MAGIC:
        order = "<"
    elif magic == 0x9FEB:
        order = ">"
    else:
        raise bad(f"magic {magic:#06x} is not {MAGIC:#06x}")
    length, type_off, type_len, str_off, str_len = struct.unpack_from(order + "5I", data, 4)
    if length < MIN_HEADER:
        raise bad(f"header length {length} is below {MIN_HEADER}")
    if length > len(data):
        raise bad(f"header length {length} is past the data's {len(data)} bytes")
    if length + str_off + str_len > len(data):
        raise bad(f"strings at {length + str_off:#x} + {str_len:#x} end past the data (size {len(data):#x})")
    if type_off + type_len > str_off:
        raise bad(f"types at {type_off:#x} + {type_len:#x} overlap the strings at {str_off:#x}")
    if type_off % 4:
        raise bad(f"types at {type_off:#x} are not aligned to 4 bytes")
    if type_len % 4:
        raise bad(f"types take {type_len:#x} bytes, which is no multiple of 4")
    strings = (length + str_off, length + str_off + str_len)
    if not (base and str_len == 0):
        if not str_len or str_len - 1 > MAX_STRINGS or data[strings[1] - 1]:
            raise bad("the string section is empty or does not end in a zero byte")
        if not base and data[strings[0]]:
            raise bad("the string section does not start with an empty string (split BTF without its base?)")
    fixed, items = (base.fixed_words, base.item_words) if base else (_FIXED_WORDS, _ITEM_WORDS)
    if length >= LAYOUT_HEADER:
        layout_off, layout_len = struct.unpack_from(order + "2I", data, 24)
        if layout_len:
            if (
                layout_off % 4
                or layout_len % 4
                or layout_off < type_off + type_len
                or layout_off + layout_len > str_off
            ):
                raise bad(f"the layout section at {layout_off:#x} + {layout_len:#x} is misplaced")
            fixed, items = fixed[:], items[:]
            _apply_layout(data[length + layout_off : length + layout_off + layout_len], fixed, items)
    types = (length + type_off, length + type_off + type_len)
    return Header("little" if order == "<" else "big", types, strings, fixed, items)


def _apply_layout(layout: Union[bytes, memoryview], fixed: list[int], items: list[int]) -> None:
    """Fill in the sizes of kinds that this reader does not know (four bytes a kind: info size, item size, flags)."""
    for kind in range(KNOWN, min(len(layout) // 4, 128)):
        info_size, item_size = layout[4 * kind], layout[4 * kind + 1]
        if info_size % 4 == 0 and item_size % 4 == 0:
            fixed[kind] = 3 + info_size // 4
            items[kind] = item_size // 4
