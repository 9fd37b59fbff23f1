"""Between bytes in memory and plain data, by BTF type: map keys and values, global variables, events.

Integers become int (bool for a bool), floats float, enums and pointers int, structs and unions dict, arrays list.
Arrays of characters become the str up to the first NUL, or bytes if that is no UTF-8. Members of anonymous structs
and unions appear in the struct around them. A type that has no such form is bytes.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Optional

from everykernel.btf import kinds
from everykernel.btf.types import SizeUnknown
from everykernel.errors import BtfMalformed

if TYPE_CHECKING:
    from everykernel.btf.types import Btf

_FLOATS = {4: "f", 8: "d"}
_MAX_DEPTH = 64  # of structs in arrays in structs …
_BUDGET = 100_000  # types looked at for one value, beyond one for each of its bytes


def value(btf: Btf, type_id: int, data: bytes) -> Any:
    """Return the plain data of a value; raise BtfMalformed if there are fewer bytes than its type takes."""
    return _Decoder(btf, len(data)).decode(type_id, data, 0, 0)


def encode(btf: Btf, type_id: int, value: Any) -> bytes:
    """Return the bytes of plain data; what a dict or list leaves out is zero.

    bytes are taken as they are, padded with zeros. Raises BtfMalformed (its ``where`` names the type) if the data does
    not fit the type.
    """
    walk = _Walk(btf, 0)
    data = bytearray(walk.size(type_id))
    _Encoder(btf, len(data)).encode(type_id, value, data, 0, 0)
    return bytes(data)


class _Walk:
    """What both directions share: sizes, bit positions, and the bounds on what a hostile BTF can ask for."""

    def __init__(self, btf: Btf, size: int) -> None:
        self.btf = btf
        self.order: Any = btf.byteorder
        self.prefix = "<" if btf.byteorder == "little" else ">"
        self.budget = _BUDGET + size

    def step(self, number: int, depth: int) -> int:
        """Count one more type and one more level, and return the level; raise BtfMalformed past the bounds."""
        self.budget -= 1
        if depth >= _MAX_DEPTH or self.budget < 0:
            raise BtfMalformed("nests too deep, or without end", where=self.where(number))
        return depth + 1

    def size(self, number: int) -> int:
        try:
            return self.btf.size_of(number)
        except SizeUnknown as e:
            raise BtfMalformed(str(e), where=self.where(number)) from e

    def where(self, number: int) -> str:
        found = self.btf.type(number)
        return f"{self.btf.name}: type {number} ({found.kind}{' ' + found.name if found.name else ''})"

    def unfit(self, number: int, value: Any) -> BtfMalformed:
        return BtfMalformed(f"{value!r} does not fit a {self.btf.type(number).kind}", where=self.where(number))

    def is_char(self, number: int) -> bool:
        found = self.btf.type(self.btf.resolve(number))
        return isinstance(found, kinds.Int) and found.is_char

    def bits(self, member: kinds.Member) -> Optional[int]:
        """Return the width in bits of a bitfield member, None for any other."""
        if member.bit_size:
            return member.bit_size
        found = self.btf.type(self.btf.resolve(member.type))
        if isinstance(found, kinds.Int) and found.bits and (found.bits != 8 * found.size or found.offset):
            return found.bits
        return None

    def place(self, member: kinds.Member, at: int, width: int) -> tuple[int, int, int]:
        """Return the first byte that holds a bitfield, the byte after the last, and the bits below it in them."""
        found = self.btf.type(self.btf.resolve(member.type))
        start = member.bit_offset + (found.offset if isinstance(found, kinds.Int) else 0)
        first, last = at + start // 8, at + (start + width + 7) // 8
        below = start % 8 if self.order == "little" else 8 * (last - first) - start % 8 - width
        return first, last, below


class _Decoder(_Walk):
    """From bytes to data."""

    def decode(self, type_id: int, data: bytes, at: int, depth: int) -> Any:
        btf = self.btf
        number = btf.resolve(type_id)
        found = btf.type(number)
        if isinstance(found, (kinds.Var, kinds.DeclTag)):
            return self.decode(found.type, data, at, self.step(number, depth))
        size = self.size(number)
        if at + size > len(data):
            raise BtfMalformed(
                f"a value takes {size} bytes, there are {max(len(data) - at, 0)}", where=self.where(number)
            )
        if isinstance(found, kinds.Struct):
            return self._struct(number, found, data, at, self.step(number, depth))
        if isinstance(found, kinds.Array):
            return self._array(number, found, data, at, self.step(number, depth))
        if isinstance(found, kinds.Float) and size in _FLOATS:
            return struct.unpack_from(self.prefix + _FLOATS[size], data, at)[0]
        if isinstance(found, (kinds.Int, kinds.Enum)):
            integer = int.from_bytes(data[at : at + size], self.order, signed=found.signed)
            return bool(integer) if isinstance(found, kinds.Int) and found.is_bool else integer
        if isinstance(found, kinds.Ptr):
            return int.from_bytes(data[at : at + size], self.order)
        return data[at : at + size]

    def _array(self, number: int, array: kinds.Array, data: bytes, at: int, depth: int) -> Any:
        if self.is_char(array.type):
            try:
                return data[at : at + array.count].split(b"\0", 1)[0].decode()
            except UnicodeDecodeError:
                return data[at : at + array.count]
        size = self.size(array.type)
        if not size:
            return []
        return [self.decode(array.type, data, at + i * size, depth) for i in range(array.count)]

    def _struct(self, number: int, found: kinds.Struct, data: bytes, at: int, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for member in found.members:
            self.step(number, 0)
            width = self.bits(member)
            if width is not None:
                result[member.name] = self._bitfield(member, data, at, width)
                continue
            inner = self.decode(member.type, data, at + member.bit_offset // 8, depth)
            if member.name:
                result[member.name] = inner
            elif isinstance(inner, dict):
                result.update(inner)
        return result

    def _bitfield(self, member: kinds.Member, data: bytes, at: int, width: int) -> int:
        first, last, below = self.place(member, at, width)
        if last > len(data):
            raise BtfMalformed(f"bitfield {member.name!r} ends past the value", where=self.where(member.type))
        integer = int.from_bytes(data[first:last], self.order) >> below & (1 << width) - 1
        found = self.btf.type(self.btf.resolve(member.type))
        signed = isinstance(found, (kinds.Int, kinds.Enum)) and found.signed
        return integer - (1 << width) if signed and integer >> (width - 1) else integer


class _Encoder(_Walk):
    """From data to bytes."""

    def encode(self, type_id: int, value: Any, data: bytearray, at: int, depth: int) -> None:
        btf = self.btf
        number = btf.resolve(type_id)
        found = btf.type(number)
        below = self.step(number, depth)
        if isinstance(found, (kinds.Var, kinds.DeclTag)):
            return self.encode(found.type, value, data, at, below)
        size = self.size(number)
        if at + size > len(data):
            raise BtfMalformed("ends past the type around it", where=self.where(number))
        if isinstance(value, (bytes, bytearray, memoryview)):
            self._store(number, bytes(value), data, at, size)
        elif isinstance(value, str) and isinstance(found, kinds.Array) and self.is_char(found.type):
            try:
                text = value.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError as e:
                raise self.unfit(number, value) from e
            self._store(number, text, data, at, size)
        elif isinstance(found, kinds.Float) and size in _FLOATS and isinstance(value, (int, float)):
            try:
                struct.pack_into(self.prefix + _FLOATS[size], data, at, float(value))
            except OverflowError as e:
                raise self.unfit(number, value) from e
        elif isinstance(found, (kinds.Int, kinds.Enum, kinds.Ptr)) and isinstance(value, int):
            data[at : at + size] = self._integer(number, value, 8 * size).to_bytes(size, self.order)
        elif isinstance(found, kinds.Array) and isinstance(value, (list, tuple)) and len(value) <= found.count:
            width = self.size(found.type)
            for index, item in enumerate(value):
                self.encode(found.type, item, data, at + index * width, below)
        elif isinstance(found, kinds.Struct) and isinstance(value, dict):
            for name, item in value.items():
                if not self._member(number, found, str(name), item, data, at, below):
                    raise BtfMalformed(f"there is no member {name!r}", where=self.where(number))
        else:
            raise self.unfit(number, value)
        return None

    def _member(
        self, number: int, found: kinds.Struct, name: str, value: Any, data: bytearray, at: int, depth: int
    ) -> bool:
        """Encode one member by name, anonymous members searched too; return whether it is there."""
        for member in found.members:
            if member.name == name:
                width = self.bits(member)
                if width is None:
                    self.encode(member.type, value, data, at + member.bit_offset // 8, depth)
                else:
                    self._bitfield(member, value, data, at, width)
                return True
            inner = self.btf.type(self.btf.resolve(member.type)) if not member.name else None
            if isinstance(inner, kinds.Struct):
                below = self.step(number, depth)
                if self._member(member.type, inner, name, value, data, at + member.bit_offset // 8, below):
                    return True
        return False

    def _bitfield(self, member: kinds.Member, value: Any, data: bytearray, at: int, width: int) -> None:
        if not isinstance(value, int):
            raise self.unfit(self.btf.resolve(member.type), value)
        first, last, below = self.place(member, at, width)
        if last > len(data):
            raise BtfMalformed(f"bitfield {member.name!r} ends past the value", where=self.where(member.type))
        kept = int.from_bytes(data[first:last], self.order) & ~(((1 << width) - 1) << below)
        integer = self._integer(self.btf.resolve(member.type), value, width)
        data[first:last] = (kept | integer << below).to_bytes(last - first, self.order)

    def _integer(self, number: int, value: int, bits: int) -> int:
        """Return an int as ``bits`` bits; negative ones and those with the top bit set are both taken."""
        if bits <= 0 or not -(1 << (bits - 1)) <= value < 1 << bits:
            raise self.unfit(number, value)
        return int(value) & (1 << bits) - 1

    def _store(self, number: int, value: bytes, data: bytearray, at: int, size: int) -> None:
        if len(value) > size:
            raise BtfMalformed(f"{len(value)} bytes do not fit into {size}", where=self.where(number))
        data[at : at + len(value)] = value
