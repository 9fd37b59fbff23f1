"""Keys and values: plain data on one side, the kernel's bytes on the other.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Optional

from everykernel.btf import decode
from everykernel.errors import BtfMalformed, UsageError

if TYPE_CHECKING:
    from everykernel.btf import Btf


def decode_value(btf: Optional[Btf], type_id: int, data: bytes) -> Any:
    """Return plain data by a BTF type; without a type, bytes."""
    return decode.value(btf, type_id, data) if btf is not None and type_id else data


def encode_value(btf: Optional[Btf], type_id: int, size: int, value: Any, where: str) -> bytes:
    """Return ``size`` bytes of plain data; an int without a type is taken as unsigned. Raises UsageError."""
    try:
        if isinstance(value, (bytes, bytearray)):
            data = bytes(value)
        elif btf is not None and type_id:
            data = decode.encode(btf, type_id, value)
        elif isinstance(value, int):
            data = struct.pack("=Q" if value >= 0 else "=q", value)[:size] if size <= 8 else b""
        else:
            raise UsageError("has no BTF type: give bytes", where=where)
    except (BtfMalformed, struct.error) as e:
        raise UsageError(f"{value!r} does not fit: {e}", where=where) from e
    if len(data) > size:
        raise UsageError(f"{len(data)} bytes are more than its {size}", where=where)
    return data.ljust(size, b"\0")
