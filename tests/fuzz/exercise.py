"""Everything that strangers' bytes can reach, in one call that raises only for a defect of ours.

The first byte of an input says what the rest is: an object file (even), or three parts with 16-bit lengths (odd): an
object's .BTF, its .BTF.ext, and a kernel's BTF, relocated over the bytes of the whole as code.
"""

from __future__ import annotations

import struct
from itertools import islice

from everykernel import core
from everykernel.btf import Btf, SizeUnknown, decode, diff, ext, render, sanitise
from everykernel.btf.ext import BtfExt
from everykernel.btf.subset import Subset
from everykernel.core import needed, reads
from everykernel.core.explain import explain
from everykernel.core.reads import formats
from everykernel.errors import BtfMalformed, ObjectMalformed, ObjectUnsupported
from everykernel.load.programs.link import reached
from everykernel.object import read

TYPED = (BtfMalformed, ObjectMalformed, ObjectUnsupported, SizeUnknown)
_TYPES = 200  # types looked at in each input
_RECORDS = 200
EVENT = formats.parse("field:char comm[16]; offset:8; size:16;\nfield:int pid; offset:24; size:4;")


def pack(local: bytes, extension: bytes, kernel: bytes) -> bytes:
    """Return the input that stands for these parts."""
    return b"\x01" + struct.pack("<HH", len(local), len(extension)) + local + extension + kernel


def exercise(data: bytes) -> None:
    """Read, relocate, render, decode and downgrade what the input holds; raise only what no input may cause."""
    if not data:
        return
    try:
        if data[0] % 2:
            _parts(data[1:])
        else:
            _object(data[1:])
    except TYPED:
        pass


def _object(data: bytes) -> None:
    spec = read(data, "fuzz.o")
    if spec.btf is None:
        return
    session = core.Session(spec.btf, core.Target(spec.btf))
    for function in spec.functions.values():
        for index, record in function.core[:_RECORDS]:
            at = record.insn_off - function.start
            code = bytearray(function.code)
            fixup = core.compute(record, index, spec.btf, session.target, bytes(code[at : at + 16]), session)
            _apply(fixup, code, at // 8)
    finder = reads.Finder(spec, events=lambda _: EVENT, count=True)
    for program in spec.programs[:_RECORDS]:
        relocated = core.relocate_program(spec, program, session)
        assert all(applied.describe() for applied in relocated.applied)
        parts = reached(spec.functions[program.function], spec.functions)
        finder.find(program, parts, relocated).describe(program, parts)
        finder.dead(parts, relocated)
    use(spec.btf)


def _parts(data: bytes) -> None:
    if len(data) < 4:
        return
    first, second = struct.unpack_from("<HH", data)
    middle, end = 4 + first, 4 + first + second
    local = Btf.parse(data[4:middle], name="fuzz.o")
    kernel = Btf.parse(data[end:]) if len(data) > end else local
    use(local)
    use(kernel)
    assert all(str(change) for change in islice(diff.everything(local, kernel), _TYPES))
    records = ext.parse(data[middle:end], local, name="fuzz.o")
    _minimise(records, local, kernel)
    _relocate(records, local, core.Target(kernel), data)


def _minimise(records: BtfExt, local: Btf, kernel: Btf) -> None:
    subset, target = Subset(kernel), core.Target(kernel)
    for section in records.core.values():
        needed.keep(section[:_RECORDS], local, target, subset)
    Btf.parse(subset.image(), pointer_size=kernel.pointer_size)


def _relocate(records: BtfExt, local: Btf, target: core.Target, code: bytes) -> None:
    session = core.Session(local, target)
    for section in records.core.values():
        for index, record in enumerate(section[:_RECORDS]):
            at = record.insn_off % (len(code) // 8 + 1) * 8
            fixup = core.compute(record, index, local, target, code[at : at + 16], session)
            assert str(explain(fixup, local, target))
            _apply(fixup, bytearray(code), at // 8)


def _apply(fixup: core.Fixup, code: bytearray, insn: int) -> None:
    assert fixup.outcome == core.FAILED or len(fixup.insn) in (8, 16)
    assert str(fixup)
    core.apply(fixup, code, insn)


def use(btf: Btf) -> None:
    """Do what commands and loader do with a BTF's types."""
    for number in range(min(btf.count, _TYPES)):
        try:
            found = btf.type(number)
            render.layout(btf, number)
            value = decode.value(btf, number, bytes(64))
            decode.encode(btf, number, value)
            btf.own_candidates(found.name)
        except TYPED:
            pass
    try:
        sanitise.needed(btf)
        Btf.parse(sanitise.sanitise(btf, ()), base=btf.base)
    except TYPED:
        pass
