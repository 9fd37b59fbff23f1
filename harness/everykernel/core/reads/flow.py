"""A walk over a relocated program: what its instructions read, where the address comes from, and how wide.

The walk keeps, for each register and stack slot, what is known of it on every path to an instruction (see `values`).
A branch whose outcome is known is not followed the other way: code behind a guard that CO-RE, the kernel's
configuration or a constant of .rodata answered is dead, as it is for the kernel's verifier. What is not understood is
not known: such reads are left out, never guessed.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Optional

from everykernel.core.reads import arithmetic
from everykernel.core.reads.state import State, fresh, narrowed
from everykernel.core.reads.values import (
    U64,
    Address,
    Const,
    Context,
    Data,
    Extern,
    Held,
    Offset,
    Stack,
    Unsettled,
    Value,
    signed,
)
from everykernel.core.reads.walked import Compared, Program, Read, Walked
from everykernel.object.spec import CALL, DATA, EXTERN, FUNCTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


# Helpers that read kernel or user memory: r1 where to, r2 how many bytes, r3 from where (enum bpf_func_id).
COPIES = {4: "bpf_probe_read", 112: "bpf_probe_read_user", 113: "bpf_probe_read_kernel", 148: "bpf_copy_from_user"}
STRINGS = {45: "bpf_probe_read_str", 114: "bpf_probe_read_user_str", 115: "bpf_probe_read_kernel_str"}

_SIZES = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
_LD, _LDX, _ST, _STX, _ALU, _JMP, _JMP32, _ALU64 = range(8)
_X, _MEM, _MEMSX, _LDIMM64 = 0x08, 0x60, 0x80, 0x18
_BUDGET = 300_000  # instructions looked at, some more than once, before a walk is given up


def walk(program: Program) -> Optional[Walked]:
    """Return what a program reads, None where the walk takes too long."""
    return _Walk(program).run()


class _Walk:
    """One walk: to a fixed point of what is known before each block, then once over the blocks that are reached."""

    def __init__(self, program: Program) -> None:
        self.program = program
        order = "<" if program.byteorder == "little" else ">"
        self.insns = {f.name: list(struct.iter_unpack(order + "BBhi", program.code[f.name])) for f in program.functions}
        self.references = {f.name: {r.insn: r for r in f.references} for f in program.functions}
        self.leaders = {name: _leaders(insns) for name, insns in self.insns.items()}
        self.states: dict[tuple[str, int], State] = {}
        self.waiting: dict[tuple[str, int], None] = {}
        self.settled = True
        self.left = _BUDGET
        self.found: Optional[Walked] = None

    def run(self) -> Optional[Walked]:
        entry = self.program.functions[0].name
        start: list[Value] = [None] * 6
        start[1] = Context(0) if self.program.context else None
        self._reach((entry, 0), fresh(start))
        while self.waiting:
            if self.left < 0:
                return None
            place, _ = self.waiting.popitem()
            self._block(place, self.states[place].copy())
        self.found = Walked([], [], set(), self.settled)
        for place in sorted(self.states):
            self._block(place, self.states[place].copy())
        return self.found

    def _reach(self, place: tuple[str, int], state: State) -> None:
        """Join a state into what is known before a block."""
        if not 0 <= place[1] < len(self.insns[place[0]]) or self.found is not None:
            return
        known = self.states.get(place)
        if known is None:
            self.states[place] = state.copy()
            self.waiting[place] = None
        elif known.join(state):
            self.waiting[place] = None

    def _block(self, place: tuple[str, int], state: State) -> None:
        name, at = place
        insns, leaders = self.insns[name], self.leaders[name]
        while at < len(insns):
            self.left -= 1
            code = insns[at][0]
            kind = code & 7
            if kind in (_JMP, _JMP32) and code & 0xF0 != arithmetic.CALL:
                self._jump(name, at, state)
                return
            self._step(name, at, state)
            record = self.program.records.get((name, at))
            if record is not None and self.found is not None:
                self.found.reached.add((name, at))
            if record is not None and not record.patched:
                if not self.program.through:
                    return
                state.registers[:10] = [None] * 10
            at += 2 if code == _LDIMM64 else 1
            if at in leaders:
                self._reach((name, at), state)
                return

    # ------------------------------------------------------------------------------------------------- instructions

    def _operands(self, registers: int) -> tuple[int, int]:
        """Return destination and source register of an instruction's register byte."""
        low, high = registers & 0x0F, registers >> 4
        return (low, high) if self.program.byteorder == "little" else (high, low)

    def _step(self, name: str, at: int, state: State) -> None:
        code, registers, offset, imm = self.insns[name][at]
        to, source = self._operands(registers)
        kind = code & 7
        if kind in (_ALU, _ALU64):
            right = state.registers[source] if code & _X else self._immediate(name, at, imm)
            operation = code & 0xF0
            if offset:  # a sign-extending move, or signed division
                right = None
            if operation in (arithmetic.NEG, arithmetic.END):
                right = Const(0) if operation == arithmetic.NEG else None
            value = arithmetic.apply(operation, state.registers[to], right, wide=kind == _ALU64)
            state.registers[to] = value
        elif kind == _LDX:
            state.registers[to] = self._load(name, at, state, code, source, offset)
        elif kind == _LD:
            self._wide_constant(name, at, state, to)
        elif kind in (_ST, _STX):
            self._store(state, code, to, source, offset, imm)
        elif code & 0xF0 == arithmetic.CALL:
            self._call(name, at, state, code, source, imm)

    def _immediate(self, name: str, at: int, imm: int) -> Value:
        return self._constant(name, at, imm & U64)

    def _constant(self, name: str, at: int, value: int) -> Value:
        record = self.program.records.get((name, at))
        if record is not None and record.offset:
            return Offset(record.access, value)
        return Const(value, record is not None and record.adapts)

    def _wide_constant(self, name: str, at: int, state: State, to: int) -> None:
        """A 64-bit load, of a number or of the address of what the object refers to; or a packet load, into r0."""
        insns = self.insns[name]
        if insns[at][0] != _LDIMM64 or at + 1 >= len(insns):
            state.registers[0] = None
            return
        reference = self.references[name].get(at)
        if reference is None:
            value = insns[at][3] & 0xFFFFFFFF | (insns[at + 1][3] & 0xFFFFFFFF) << 32
            state.registers[to] = self._constant(name, at, value)
            return
        state.registers[to] = None
        if reference.kind == DATA:
            state.registers[to] = Data(reference.name, reference.offset)
        elif reference.kind == EXTERN:
            state.registers[to] = self._extern(reference.name)
        elif reference.kind == FUNCTION:  # called back, with arguments that are not known
            self._reach((reference.name, 0), fresh([None] * 6))

    def _extern(self, name: str) -> Value:
        return Const(0) if self.program.symbols.get(name) is False else Extern(name)

    def _load(self, name: str, at: int, state: State, code: int, source: int, offset: int) -> Value:
        size, mode = _SIZES[code & 0x18], code & 0xE0
        base = state.registers[source]
        record = self.program.records.get((name, at))
        if mode not in (_MEM, _MEMSX):
            return None
        reach = base.offset + offset + size if isinstance(base, Context) else 0
        if record is not None:
            self._read(Read(name, at, Address(record.access), size, "", record=True, reach=reach))
            return Held(record.access, size) if mode == _MEM else None
        if isinstance(base, (Address, Context)):
            there = arithmetic.apply(arithmetic.ADD, base, Const(offset & U64), wide=True)
            self._read(Read(name, at, there, size, "", reach=reach))
            whole = isinstance(there, Address) and not there.delta and mode == _MEM
            return Held(there.access, size) if whole and isinstance(there, Address) else None
        if mode == _MEM and isinstance(base, Stack):
            return narrowed(state.stack.get(base.offset + offset), size, self.program.byteorder)
        if mode == _MEM and isinstance(base, Data):
            return self._variable(base.section, base.offset + offset, size)
        if isinstance(base, Extern) and base.name not in self.program.symbols:
            return self._bytes(self.program.settings.get(base.name), offset, size) or Unsettled()
        return None

    def _variable(self, section: str, at: int, size: int) -> Value:
        return self._bytes(self.program.constants.get(section), at, size)

    def _bytes(self, data: Optional[bytes], at: int, size: int) -> Value:
        """Return the number that stands in known bytes, None where it is not known."""
        if data is None or not 0 <= at <= len(data) - size:
            return None
        return Const(int.from_bytes(data[at : at + size], self.program.byteorder))  # type: ignore[arg-type]

    def _store(self, state: State, code: int, to: int, source: int, offset: int, imm: int) -> None:
        size = _SIZES[code & 0x18]
        base = state.registers[to]
        value: Value = Const(imm & U64) if code & 7 == _ST else state.registers[source]
        if code & 0xE0 != _MEM:
            value = None  # an atomic operation
            if code & 7 == _STX:
                state.registers[source] = state.registers[0] = None
        if not isinstance(base, Stack):
            return
        keep = size == 8 or (isinstance(value, Const)) or (isinstance(value, Held) and value.size == size)
        state.store(base.offset + offset, size, value if keep else None)

    def _call(self, name: str, at: int, state: State, code: int, source: int, imm: int) -> None:
        arguments = state.registers
        reference = self.references[name].get(at)
        where, size, origin = arguments[1], arguments[2], arguments[3]
        helper = "" if code & _X or reference is not None or source else COPIES.get(imm) or STRINGS.get(imm) or ""
        if reference is not None and reference.kind == CALL:
            passed: list[Value] = [None if isinstance(v, Stack) else v for v in arguments[:6]]
            self._reach((reference.name, 0), fresh(passed))
        kept: Value = None
        if helper:
            length = size.value if isinstance(size, Const) else None
            if isinstance(origin, (Address, Context)):
                adapted = isinstance(size, Const) and size.adapted
                self._read(Read(name, at, origin, length, helper, adapted))
                if isinstance(origin, Address) and not origin.delta and imm in COPIES and length and not adapted:
                    kept = Held(origin.access, length)
            if isinstance(where, Stack):
                state.forget(where.offset, length)
                if kept is not None and isinstance(kept, Held):
                    state.store(where.offset, kept.size, kept)
        elif any(isinstance(v, Stack) for v in arguments[1:6]):
            state.forget(0, None)
        state.registers[:6] = [None] * 6

    # --------------------------------------------------------------------------------------------------------- jumps

    def _jump(self, name: str, at: int, state: State) -> None:
        code, registers, offset, imm = self.insns[name][at]
        operation = code & 0xF0
        if operation == arithmetic.EXIT:
            return
        if operation == arithmetic.JA:
            self._reach((name, at + 1 + (imm if code & 7 == _JMP32 else offset)), state)
            return
        to, source = self._operands(registers)
        left = state.registers[to]
        right = state.registers[source] if code & _X else self._immediate(name, at, imm)
        wide = code & 7 == _JMP
        if operation in (arithmetic.JEQ, arithmetic.JNE):
            self._compare(name, at, left, right)
        outcome = arithmetic.taken(operation, left, right, wide=wide)
        if outcome is None and any(isinstance(v, (Unsettled, Extern)) for v in (left, right)):
            outcome = self._symbol(operation, left, right)
        if outcome is not False:
            self._reach((name, at + 1 + offset), state)
        if outcome is not True:
            self._reach((name, at + 1), state)

    def _symbol(self, operation: int, left: Value, right: Value) -> Optional[bool]:
        """Return how a branch on a setting or on the address of a symbol goes: an address that is known is not 0."""
        known = isinstance(left, Extern) and left.name in self.program.symbols
        if known and right == Const(0) and operation in (arithmetic.JEQ, arithmetic.JNE):
            return operation == arithmetic.JNE
        self.settled = False
        return None

    def _compare(self, name: str, at: int, left: Value, right: Value) -> None:
        for value, other in ((left, right), (right, left)):
            if self.found is not None and isinstance(value, Held) and isinstance(other, Const):
                record = self.program.records.get((name, at))
                if not value.shift and record is None and not other.adapted:
                    number = signed(other.value, 8 * min(value.size, 8))
                    self.found.compared.append(Compared(name, at, value.access, number))

    def _read(self, read: Read) -> None:
        if self.found is not None:
            self.found.reads.append(read)


def _leaders(insns: Sequence[tuple[int, int, int, int]]) -> frozenset[int]:
    """Return the instructions that a jump leads to or that follow one: where blocks begin."""
    return frozenset(_targets(insns))


def _targets(insns: Sequence[tuple[int, int, int, int]]) -> Iterator[int]:
    yield 0
    at = 0
    while at < len(insns):
        code, _, offset, imm = insns[at]
        if code & 7 in (_JMP, _JMP32) and code & 0xF0 not in (arithmetic.CALL, arithmetic.EXIT):
            yield at + 1 + (imm if code == 0x06 else offset)
            yield at + 1
        at += 2 if code == _LDIMM64 else 1
