"""Short ways to build instructions and to relocate one record, for the tests of core."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tests.btfwriter import Writer

from everykernel import core
from everykernel.btf import Btf
from everykernel.btf.ext import CoreRecord
from everykernel.core import relokinds as rk

WIDTHS = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}
POISON = "850000001023ad0b"


def load(offset: int, size: int = 4, code: int = 0x61) -> bytes:
    """r1 = *(u32 *)(r2 + offset), or another width."""
    return struct.pack("<BBhi", code & ~0x18 | WIDTHS[size], 0x21, offset, 0)


def mov(value: int) -> bytes:
    """r1 = value."""
    return struct.pack("<BBhi", 0xB7, 0x01, 0, value)


def wide(value: int) -> bytes:
    """r1 = value, 64 bits, in two instructions."""
    return struct.pack("<BBhIBBhI", 0x18, 0x01, 0, value & 0xFFFFFFFF, 0, 0, 0, value >> 32)


def offset_of(insn: bytes) -> int:
    return int(struct.unpack_from("<h", insn, 2)[0])


def immediate_of(insn: bytes) -> int:
    return int(struct.unpack_from("<i", insn, 4)[0])


def relocate(
    local: Writer | Btf,
    target: Writer | Btf | None,
    type_id: int,
    access: str,
    kind: int = rk.FIELD_BYTE_OFFSET,
    insn: bytes = b"",
    *,
    modules: Iterable[Btf] = (),
    session: core.Session | None = None,
) -> core.Fixup:
    """Relocate one record; without an instruction, one is made that holds any value (a bare load of width 4)."""
    ours = local.btf("prog.bpf.o") if isinstance(local, Writer) else local
    theirs = target.btf() if isinstance(target, Writer) else target
    record = CoreRecord(0, type_id, access, kind)
    return core.compute(record, 0, ours, core.Target(theirs, lambda: modules), insn or mov(0), session)
