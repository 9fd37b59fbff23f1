"""Random types and records: every rule of CO-RE met in combinations that no compiler writes.

Two BTFs share a small vocabulary of names, so that types of the object meet types of the kernel that are equal, alike,
flavoured, contradictory or missing; half of the kernels are the object's own types with changes. What makes libbpf
crash or hang (chains without an end, bitfields of types without a size) is not generated.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

from tests.btfwriter import Member, Writer
from tests.elfwriter import bpf_object

from everykernel import core
from everykernel.btf import Btf, kinds
from everykernel.btf.ext import CoreRecord
from everykernel.core import relokinds, spec, values
from everykernel.core.refusal import Refused

ROOTS = ("s", "s___x", "s___y", "t", "t___x", "e", "e___x", "u", "a___b___c", "")
MEMBERS = ("a", "b", "c", "d", "")
VALUES = ("A", "B", "C", "A___x", "B___y")
INTS = (("int", 4, True), ("unsigned int", 4, False), ("long", 8, True), ("unsigned char", 1, False), ("u64", 8, False))
_WEIGHTS = {
    "struct": 12, "union": 5, "ptr": 5, "array": 5, "typedef": 5, "modifier": 4, "enum": 3, "enum64": 2, "fwd": 2,
    "proto": 2, "float": 1, "odd": 1, "func": 1, "var": 1, "tag": 1,
}  # fmt: skip
EXIT = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)


@dataclass(frozen=True)
class Program:
    """The code of a program, and its records in order."""

    code: bytes
    records: list[CoreRecord]


@dataclass(frozen=True)
class Sample:
    """One object and one kernel BTF; the object's programs are called ``p0``, ``p1`` …"""

    object: bytes
    local: Btf
    extension: bytes
    target: bytes
    modules: list[bytes]
    programs: list[Program]


class Types:
    """Appends random types to a writer; ``noise`` makes changes to what ``rng`` alone decides."""

    def __init__(
        self,
        rng: random.Random,
        *,
        size: int,
        noise: random.Random | None = None,
        base: Types | None = None,
        big: bool = False,
    ) -> None:
        self.rng = rng
        self.noise = noise
        if base is None:
            self.writer = Writer(big=big)
            for name, width, signed in INTS:
                self.writer.integer(name, width, signed=signed)
            self.sized = list(range(1, self.writer.next))
            self.fields = list(self.sized)  # types that a bitfield may have
        else:
            self.writer = Writer(big=big, base=base.writer.btf())
            self.sized = list(base.sized)
            self.fields = list(base.fields)
        self.whole = list(range(1, self.writer.next))
        for _ in range(size):
            self.add()

    def add(self) -> None:
        rng, writer = self.rng, self.writer
        any_type = rng.choice([0, *self.whole])
        sized = rng.choice(self.sized)
        kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if kind in ("struct", "union"):
            number = self.composite(kind)
            self.sized.append(number)
        elif kind == "ptr":
            self.sized.append(writer.ptr(any_type))
        elif kind == "array":
            self.sized.append(writer.array(sized, rng.choice((0, 1, 2, 3, 4, 100))))
        elif kind == "typedef":
            number = writer.typedef(rng.choice(ROOTS[:-1]), rng.choice((any_type, sized, sized)))
        elif kind == "modifier":
            number = writer.modifier(rng.choice(("const", "volatile", "restrict", "type_tag")), any_type, "")
        elif kind in ("enum", "enum64"):
            self.enum(kind)
        elif kind == "fwd":
            writer.fwd(rng.choice(ROOTS[:-1]), union=rng.random() < 0.5)
        elif kind == "proto":
            params = [(rng.choice(MEMBERS), rng.choice(self.whole)) for _ in range(rng.randrange(4))]
            writer.func_proto(any_type, params)
        elif kind == "float":
            self.sized.append(writer.floating(rng.choice(ROOTS[:-1]), rng.choice((4, 8))))
        elif kind == "odd":
            self.sized.append(
                writer.integer(
                    rng.choice(ROOTS[:-1]),
                    4,
                    bits=rng.choice((3, 32)),
                    offset=rng.choice((0, 5)),
                    flags=rng.choice((0, 2, 4)),
                )
            )
        elif kind == "func":
            writer.func(rng.choice(ROOTS[:-1]), writer.func_proto(0, []))
        elif kind == "var":
            writer.var(rng.choice(ROOTS[:-1]), sized)
        else:
            writer.decl_tag("tag", sized)
        self.whole = list(range(1, writer.next))

    def composite(self, kind: str) -> int:
        rng, writer = self.rng, self.writer
        members: list[Member] = []
        at = 0
        bitfields = rng.random() < 0.3
        for _ in range(rng.choice((0, 1, 2, 3, 5))):
            field = rng.choice(self.fields)
            width = rng.randrange(1, 30) if bitfields and rng.random() < 0.6 else 0
            type_id = field if width else rng.choice(self.sized if rng.random() < 0.9 else self.whole)
            offset = at if kind == "struct" else 0
            if not width:
                offset = (offset + 7) // 8 * 8
            name = rng.choice(MEMBERS)
            members.append((name, type_id, offset, width) if bitfields else (name, type_id, offset))
            at = offset + (width or 8 * rng.choice((1, 2, 4, 8, 64, 5000)))
        size = at // 8 + rng.choice((0, 1, 8))
        if self.noise and self.noise.random() < 0.5:
            members = self._changed(members)
        return writer.struct(rng.choice(ROOTS), size, members, kinds.KIND_NUMBERS[kind])

    def _changed(self, members: list[Member]) -> list[Member]:
        """Return a struct's members as another kernel has them: moved, gone, embedded, retyped, renamed."""
        noise = self.noise
        assert noise is not None
        change = noise.choice(("move", "move", "drop", "embed", "retype", "rename", "shuffle"))
        if change == "move":
            by = noise.choice((8, 32, 64))
            return [(m[0], m[1], m[2] + by, *m[3:]) for m in members]
        if change == "drop":
            return members[1:]
        if change == "embed" and members:
            flat: list[Member] = [(m[0], m[1], m[2] & ~7, *m[3:]) for m in members]
            inner = self.writer.struct("", 64, flat)
            return [("", inner, noise.choice((0, 64)), 0) if len(members[0]) == 4 else ("", inner, 64)]
        if change == "retype":
            return [(m[0], noise.choice(self.fields), *m[2:]) for m in members]
        if change == "rename":
            return [(noise.choice(MEMBERS), *m[1:]) for m in members]
        return noise.sample(members, len(members))

    def enum(self, kind: str) -> None:
        rng = self.rng
        bound = 31 if kind == "enum" else 63
        names = rng.sample(VALUES, rng.randrange(len(VALUES)))
        chosen = {name: rng.choice((0, 1, -1, rng.randrange(-(1 << bound), 1 << bound))) for name in names}
        size = rng.choice((4, 4, 8, 1))
        add = self.writer.enum if kind == "enum" else self.writer.enum64
        number = add(rng.choice(ROOTS), chosen, size, signed=rng.random() < 0.5)
        self.sized.append(number)
        self.fields.append(number)


def sample(seed: int, *, programs: int = 40, big: bool = False) -> Sample:
    """Return the object and the kernel BTF that belong to a seed; ``big`` ones are big-endian."""
    rng = random.Random(seed)
    size = rng.choice((5, 20, 60))
    ours = Types(random.Random(seed), size=size, big=big)
    if rng.random() < 0.5:
        theirs = Types(random.Random(seed), size=size, noise=rng, big=big)
    else:
        theirs = Types(rng, size=rng.choice((5, 20, 60, 200)), big=big)
    split = []
    if rng.random() < 0.3:
        theirs = Types(rng, size=rng.choice((0, 5)), big=big)
        count = rng.randrange(1, 4)
        split = [Types(rng, size=rng.choice((5, 20, 60)), base=theirs, big=big) for _ in range(count)]
    local, kernel = ours.writer.btf("o"), theirs.writer.image()
    modules = [types.writer.image() for types in split]
    made = [_program(rng, local, target_of(kernel, modules)) for _ in range(programs)]
    code = {f"raw_tp/t{n}": program.code for n, program in enumerate(made)}
    ext = ours.writer.ext(
        core={
            name: [(r.insn_off, r.type_id, r.access, r.kind) for r in program.records]
            for name, program in zip(code, made, strict=True)
        }
    )
    data = {"license": b"GPL\0", ".BTF": ours.writer.image(), ".BTF.ext": ext}
    functions = [(f"p{n}", name, 0, len(text)) for n, (name, text) in enumerate(code.items())]
    return Sample(
        bpf_object(code, functions, data, big=big), Btf.parse(data[".BTF"], name="o"), ext, kernel, modules, made
    )


def target_of(kernel: bytes, modules: list[bytes]) -> core.Target:
    """Return the target that a sample's bytes are."""
    base = Btf.parse(kernel)
    split = [Btf.parse(image, base=base, name=f"m{number}") for number, image in enumerate(modules)]
    return core.Target(base, lambda: split)


def _program(rng: random.Random, local: Btf, target: core.Target) -> Program:
    """Return a program of one record, or of several of which few are refused: at the first, libbpf stops."""
    code = b""
    records: list[CoreRecord] = []
    wanted = rng.choice((1, 1, 8, 30))
    for _ in range(4 * wanted):
        if len(records) == wanted:
            break
        record = _record(rng, local, len(code))
        insn = _ordered(_instruction(rng, local, record), local)
        refused = core.compute(record, 0, local, target, insn).outcome == core.FAILED
        if not refused or rng.random() < (0.1 if wanted == 1 else 0.02):
            records.append(record)
            code += insn
    if not records:
        records, code = [record], insn
    return Program(code + _ordered(EXIT, local), records)


def _ordered(code: bytes, local: Btf) -> bytes:
    """Return little-endian instructions in the byte order of a BTF."""
    if local.byteorder == "little":
        return code
    slots = (struct.unpack("<BBhi", code[at : at + 8]) for at in range(0, len(code), 8))
    return b"".join(struct.pack(">BBhi", op, regs >> 4 | (regs & 15) << 4, off, imm) for op, regs, off, imm in slots)


def _record(rng: random.Random, local: Btf, at: int) -> CoreRecord:
    kind = rng.choice((0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 13))
    wanted = ("struct", "union", "typedef", "fwd") if kind < 6 else ("enum", "enum64") if kind in (10, 11) else None
    numbers = [n for n, found in local if wanted is None or found.kind in wanted]
    number = rng.choice(numbers) if numbers and rng.random() < 0.95 else rng.randrange(1, local.count)
    if kind in relokinds.TYPE_BASED:
        return CoreRecord(at, number, "0" if rng.random() < 0.98 else "0:0", kind)
    if kind in relokinds.ENUMVAL_BASED:
        return CoreRecord(at, number, str(rng.randrange(4)), kind)
    return CoreRecord(at, number, _path(rng, local, number), kind)


def _path(rng: random.Random, local: Btf, number: int) -> str:
    """Return an access string that mostly leads somewhere."""
    steps = [rng.choice((0, 0, 0, 0, 1, 3))]
    for _ in range(rng.randrange(1, 6)):
        found = local.type(local.resolve(number))
        if isinstance(found, kinds.Struct) and found.members:
            step = rng.randrange(len(found.members) + (rng.random() < 0.02))
            steps.append(step)
            if step == len(found.members):
                break
            number = found.members[step].type
        elif isinstance(found, kinds.Array):
            steps.append(rng.randrange(max(found.count, 1) + (rng.random() < 0.1)))
            number = found.type
        else:
            if rng.random() < 0.02:
                steps.append(0)
            break
    return ":".join(map(str, steps))


def _instruction(rng: random.Random, local: Btf, record: CoreRecord) -> bytes:
    """Return an instruction that mostly holds what the record says."""
    number, size = 0, 4
    try:
        if record.kind == relokinds.TYPE_ID_LOCAL:
            number = record.type_id
        else:
            found = values.value(record.kind, spec.parse(record, local))
            number, size = found.number or 0, found.size or 4
    except Refused:
        pass
    if rng.random() < 0.03:
        number += 1
    if rng.random() < 0.1:
        size = rng.choice((1, 2, 4, 8))
    form = rng.choices(("mov", "load", "store", "wide", "other"), (8, 8, 2, 4, 0.5))[0]
    low = number & 0xFFFFFFFF
    if form == "load" or form == "store":
        width = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}.get(size, 0)
        code = 0x61 if form == "load" else rng.choice((0x62, 0x63))
        return struct.pack("<BBHi", code & ~0x18 | width, 0x21, number & 0xFFFF, 0)
    if form == "wide":
        return struct.pack("<BBhIBBhI", 0x18, 0x01, 0, low, 0, 0, 0, number >> 32 & 0xFFFFFFFF)
    if form == "other":
        return struct.pack("<BBhI", rng.choice((0x0F, 0x05, 0x20, 0xBF, 0x85)), 0x21, 0, low)
    return struct.pack("<BBhI", rng.choice((0xB7, 0xB4, 0x07)), 0x01, 0, low)
