"""Keys and values: plain data on one side, the kernel's bytes on the other.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from everykernel.btf import decode
from everykernel.errors import BtfMalformed, UsageError

if TYPE_CHECKING:
    from everykernel.btf import Btf


def decode_value(btf: Optional[Btf], type_id: int, data: bytes) -> Any:
    """Return plain data by a BTF type; without a type, bytes."""
    return decode.value(btf, type_id, data) if btf is not None and type_id else data


def encode_value(btf: Optional[Btf], type_id: int, size: int, value: Any, where: str, byteorder: str) -> bytes:
    """Return ``size`` bytes of plain data; an int without a type is taken as unsigned. Raises UsageError.

    ``byteorder`` is of the machine that the bytes are for.
    """
    try:
        if isinstance(value, (bytes, bytearray)):
            data = bytes(value)
        elif btf is not None and type_id:
            data = decode.encode(btf, type_id, value)
        elif isinstance(value, int):
            data = _integer(value, size, byteorder) if size <= 8 else b""
        else:
            raise UsageError("has no BTF type: give bytes", where=where)
    except (BtfMalformed, OverflowError) as e:
        raise UsageError(f"{value!r} does not fit: {e}", where=where) from e
    if len(data) > size:
        raise UsageError(f"{len(data)} bytes are more than its {size}", where=where)
    return data.ljust(size, b"\0")


def _integer(value: int, size: int, byteorder: str) -> bytes:
    """Return the lower bytes of a number of 64 bits; raise OverflowError for a larger one."""
    if byteorder == "little":
        return value.to_bytes(8, "little", signed=value < 0)[:size]
    return value.to_bytes(8, "big", signed=value < 0)[8 - size :]
