""".BTF.ext: which function and source line an instruction belongs to, and which instructions CO-RE has to relocate.

The checks are those of libbpf 1.7 (btf_ext_parse). Where libbpf would go on without a .BTF.ext that it cannot read,
this raises ObjectMalformed: an object whose relocations are lost never runs right.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from everykernel.dataclass import dataclass, field
from everykernel.errors import BtfMalformed, ObjectMalformed
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everykernel.btf.types import Btf

MAGIC = 0xEB9F
_HEADER = 24  # bytes up to and with line_info_len
_HEADER_CORE = 32  # bytes with core_relo_off and core_relo_len


class FuncInfo(NamedTuple):
    """The function of type ``type_id`` (a func) starts at ``insn_off`` bytes into its section."""

    insn_off: int
    type_id: int


class LineInfo(NamedTuple):
    """The instruction at ``insn_off`` bytes comes from this place: string offsets, and ``line << 10 | column``."""

    insn_off: int
    file_off: int
    line_off: int
    line_col: int

    @property
    def line(self) -> int:
        """Line number in the source file."""
        return self.line_col >> 10

    @property
    def column(self) -> int:
        """Column in the source line."""
        return self.line_col & 0x3FF


@dataclass(frozen=True)
class CoreRecord:
    """One CO-RE relocation record (the kernel's struct bpf_core_relo).

    Attributes:
        insn_off: byte offset of the instruction in its section.
        type_id: the root type, in the object's BTF.
        access: the access string, ``0:1:2`` ("" where its offset is past the strings).
        kind: the kernel's enum bpf_core_relo_kind.
    """

    insn_off: int
    type_id: int
    access: str
    kind: int


@dataclass(frozen=True)
class BtfExt:
    """The three tables, each by ELF section name, in the order of the file."""

    func_info: dict[str, list[FuncInfo]] = field(default_factory=dict)
    line_info: dict[str, list[LineInfo]] = field(default_factory=dict)
    core: dict[str, list[CoreRecord]] = field(default_factory=dict)


def parse(data: bytes, btf: Btf, *, name: str) -> BtfExt:
    """Return what .BTF.ext says; ``btf`` is the object's BTF (its strings), ``name`` the object's name for messages.

    Raises ObjectMalformed naming the table and offset.
    """

    def bad(message: str) -> ObjectMalformed:
        return ObjectMalformed(message, where=f"{name}: .BTF.ext")

    if len(data) < 8:
        raise bad(f"{len(data)} bytes are too few for a header")
    order = {b"\x9f\xeb": "<", b"\xeb\x9f": ">"}.get(bytes(data[:2]))
    if order is None:
        raise bad(f"magic {struct.unpack_from('<H', data)[0]:#06x} is not {MAGIC:#06x}")
    version, flags, length = struct.unpack_from(order + "BBI", data, 2)
    if version != 1:
        raise bad(f"version {version} is not 1")
    if flags:
        raise bad(f"flags {flags:#x} are not known")
    if len(data) <= length:
        raise bad(f"header length {length} leaves no data (size {len(data)})")
    if length < _HEADER:
        raise bad(f"header length {length} is below {_HEADER}")
    pairs = struct.unpack_from(order + ("6I" if length >= _HEADER_CORE else "4I"), data, 8)
    reader = _Reader(data, btf, name, order, length)
    ext = BtfExt()
    for section, fields in reader.records("func_info", pairs[0], pairs[1], 2):
        ext.func_info.setdefault(section, []).append(FuncInfo(*fields))
    for section, fields in reader.records("line_info", pairs[2], pairs[3], 4):
        ext.line_info.setdefault(section, []).append(LineInfo(*fields))
    if len(pairs) > 4:
        for section, (insn_off, type_id, access_off, kind) in reader.records("core_relo", pairs[4], pairs[5], 4):
            ext.core.setdefault(section, []).append(CoreRecord(insn_off, type_id, reader.access(access_off), kind))
    return ext


class _Reader:
    """Reads tables of records grouped by section."""

    def __init__(self, data: bytes, btf: Btf, name: str, order: str, start: int) -> None:
        self.data, self.btf, self.name, self.order, self.start = data, btf, name, order, start

    def records(self, table: str, offset: int, length: int, count: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield each record of a table as its section's name and its first ``count`` 32-bit fields."""
        if not length:
            return
        at = self.start + offset
        end = at + length

        def bad(message: str) -> ObjectMalformed:
            return ObjectMalformed(message, where=f"{self.name}: .BTF.ext: {table} at {at:#x}")

        if offset % 4:
            raise bad("is not aligned to 4 bytes")
        if end > len(self.data):
            raise bad(f"ends past the section (end {end:#x}, size {len(self.data):#x})")
        if length < 4:
            raise bad("has no record size")
        (size,) = struct.unpack_from(self.order + "I", self.data, at)
        if size < 4 * count or size % 4:
            raise bad(f"record size {size} is not a multiple of 4 from {4 * count} up")
        at += 4
        if at == end:
            raise bad("has no records")
        layout = struct.Struct(f"{self.order}{count}I{size - 4 * count}x")
        while at < end:
            if end - at < 8:
                raise bad("a section's header ends past the table")
            name_off, number = struct.unpack_from(self.order + "2I", self.data, at)
            if not number:
                raise bad("a section has no records")
            if number * size > end - at - 8:
                raise bad(f"a section's {number} records of {size} bytes end past the table (end {end:#x})")
            try:
                section = self.btf.string(name_off)
            except BtfMalformed as e:
                raise bad(f"a section's name is at string offset {name_off:#x}, past the strings") from e
            at += 8
            for fields in layout.iter_unpack(self.data[at : at + number * size]):
                yield section, fields
            at += number * size

    def access(self, offset: int) -> str:
        try:
            return self.btf.string(offset)
        except BtfMalformed:
            return ""  # libbpf fails the record, not the file
