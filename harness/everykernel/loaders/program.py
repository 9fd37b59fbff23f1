"""What can be run in a guest as an adapter: a static program for its architecture."""

from __future__ import annotations

import struct

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_MAGIC = b"\x7fELF\x02\x01\x01"
_EXECUTABLE, _SHARED = 2, 3  # ET_EXEC, ET_DYN: the second also for static programs that can lie anywhere
_INTERP = 3  # PT_INTERP
X86_64 = 62  # EM_X86_64


def is_static(data: bytes) -> bool:
    """Whether these are the bytes of a static program for x86_64: one that asks for no interpreter."""
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        return False
    _, kind, machine, _, _, at, _, _, _, size, count, *_ = _HEADER.unpack_from(data)
    if kind not in (_EXECUTABLE, _SHARED) or machine != X86_64 or size != _SEGMENT.size or not count:
        return False
    if at + size * count > len(data):
        return False
    return all(_SEGMENT.unpack_from(data, at + size * number)[0] != _INTERP for number in range(count))
