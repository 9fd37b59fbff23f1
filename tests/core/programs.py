"""Small programs that read a field of ``struct s``, assembled for the tests of misreads."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from tests.btfwriter import Writer

from everykernel import core
from everykernel.btf import Btf
from everykernel.btf.ext import CoreRecord, FuncInfo
from everykernel.core import reads
from everykernel.core import relokinds as rk
from everykernel.core.reads.formats import Format
from everykernel.object import sections
from everykernel.object.spec import DataSection, Function, ObjectSpec, ProgramSpec, Reference

PROBE = 113  # bpf_probe_read_kernel
Insn = tuple[int, int, int, int, int]  # code, destination, source, offset, immediate


def mov(to: int, value: int) -> Insn:
    return (0xB7, to, 0, 0, value)


def copy(to: int, source: int) -> Insn:
    return (0xBF, to, source, 0, 0)


def add(to: int, value: int) -> Insn:
    return (0x07, to, 0, 0, value)


def add_register(to: int, source: int) -> Insn:
    return (0x0F, to, source, 0, 0)


def shift(code: int, to: int, bits: int) -> Insn:
    return (code, to, 0, 0, bits)


def load(to: int, source: int, offset: int, size: int) -> Insn:
    return (0x61 & ~0x18 | {4: 0, 2: 0x08, 1: 0x10, 8: 0x18}[size], to, source, offset, 0)


def call(helper: int) -> Insn:
    return (0x85, 0, 0, 0, helper)


def jump(code: int, to: int, offset: int, value: int) -> Insn:
    return (code, to, 0, offset, value)


EXIT: Insn = (0x95, 0, 0, 0, 0)
JEQ, JNE, JGT = 0x15, 0x55, 0x25


def wide(to: int) -> list[Insn]:
    """The address of what the instruction refers to."""
    return [(0x18, to, 0, 0, 0), (0, 0, 0, 0, 0)]


def probed(size: int, offset: int = 0) -> list[Insn]:
    """As BPF_CORE_READ does it: the relocated offset is the first instruction's, the address is r1's before."""
    return [mov(6, offset), add_register(1, 6), copy(3, 1), copy(1, 10), add(1, -8), mov(2, size), call(PROBE)]


def assemble(insns: Sequence[Insn], order: str = "<") -> bytes:
    pack = struct.Struct(order + "BBhi").pack
    return b"".join(
        pack(code, to | source << 4 if order == "<" else to << 4 | source, offset, value)
        for code, to, source, offset, value in insns
    )


def types(
    member: Callable[[Writer], tuple[int, int, int]], *, name: str = "s", big: bool = False
) -> tuple[Writer, int]:
    """Return types with ``struct NAME { …; f; }``; ``member`` adds f's type and gives (type, bit offset, bits)."""
    writer = Writer(big=big)
    writer.integer("long", 8, signed=True)
    type_id, offset, bits = member(writer)
    return writer, writer.struct(name, 64, [("f", type_id, offset, bits) if bits else ("f", type_id, offset)])


def find(
    insns: Sequence[Insn],
    local: Writer,
    target: Writer | Btf,
    records: Sequence[tuple[int, int, str, int]] = (),
    *,
    references: Sequence[Reference] = (),
    functions: Sequence[tuple[str, Sequence[Insn]]] = (),
    section: str = "kprobe/x",
    data: Sequence[DataSection] = (),
    settings: dict[str, bytes] | None = None,
    symbols: dict[str, bool] | None = None,
    event: Format | None = None,
    func: int = 0,
) -> reads.Found:
    """Relocate a program (records: instruction, root type, access, kind) and return what it misreads."""
    btf = local.btf("prog.bpf.o")
    order = "<" if btf.byteorder == "little" else ">"
    core_records = tuple(
        (n, CoreRecord(8 * insn, type_id, access, kind)) for n, (insn, type_id, access, kind) in enumerate(records)
    )
    info = FuncInfo(0, func) if func else None
    entry = Function("prog", section, 0, assemble(insns, order), tuple(references), core_records, info, ())
    others = [Function(name, ".text", 0, assemble(body, order), (), (), None, ()) for name, body in functions]
    rule, rest = sections.match(section)
    program = ProgramSpec("prog", section, rule, rest, True, "prog")
    spec = ObjectSpec(
        "prog.bpf.o", btf.byteorder, btf=btf, programs=(program,), functions={f.name: f for f in (entry, *others)},
        data={d.name: d for d in data}, core_sections=(section,), shared_section=".text",
    )  # fmt: skip
    there = target.btf() if isinstance(target, Writer) else target
    relocated = core.relocate_program(spec, program, core.Session(btf, core.Target(there)))
    assert relocated.failed is None, relocated.failed
    finder = reads.Finder(spec, settings=settings, symbols=symbols, events=lambda _: event)
    return finder.find(program, [entry, *others], relocated)


OFFSET, SIZE, EXISTS, SIGNED = rk.FIELD_BYTE_OFFSET, rk.FIELD_BYTE_SIZE, rk.FIELD_EXISTS, rk.FIELD_SIGNED
