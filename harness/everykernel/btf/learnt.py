"""What takes long to find out about a BTF, as bytes: learnt on one machine for another that has the same BTF.

A vmlinux's records have to be walked to find where each begins, and its names sorted: a tenth of a second where Python
is fast, a second and a half in an emulated guest.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from typing import Optional

from everykernel.namedtuple import NamedTuple

_HEAD = struct.Struct("<5I")  # CRC-32 and size of the BTF; how many records, how many names; bytes of flavours


class Learnt(NamedTuple):
    """What `pack` is given and `unpack` returns.

    Attributes:
        offsets: the index of each record's first word.
        ids, names: the named types sorted by their names, and the offsets of these.
        flavours: the names that are flavours.
    """

    offsets: array[int]
    ids: array[int]
    names: array[int]
    flavours: list[bytes]


def pack(learnt: Learnt, raw: bytes, byteorder: str) -> bytes:
    """Return what is known of a BTF (``raw``) for a machine of this byte order."""
    flavours = b"\0".join(learnt.flavours)
    head = _HEAD.pack(zlib.crc32(raw), len(raw), len(learnt.offsets), len(learnt.ids), len(flavours))
    arrays = [array("I", one) for one in (learnt.offsets, learnt.ids, learnt.names)]
    if byteorder != sys.byteorder:
        for one in arrays:
            one.byteswap()
    return b"".join([head, *(one.tobytes() for one in arrays), flavours])


def unpack(data: bytes, raw: bytes) -> Optional[Learnt]:
    """Return what `pack` was given on a machine of this byte order; None where that was another BTF, or nothing."""
    if len(data) < _HEAD.size:
        return None
    digest, size, records, named, _ = _HEAD.unpack_from(data)
    if size != len(raw) or digest != zlib.crc32(raw):
        return None
    words = array("I", data[_HEAD.size : _HEAD.size + 4 * (records + 2 * named)])
    flavours = data[_HEAD.size + 4 * len(words) :].split(b"\0")
    return Learnt(words[:records], words[records : records + named], words[records + named :], flavours)
