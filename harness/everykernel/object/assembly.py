"""Instructions as text, in the pseudo-C of LLVM's and the verifier's: ``r0 = *(u64 *)(r1 + 8)``.

Encodings: the kernel's Documentation/bpf/standardization/instruction-set.rst; the words are those of
``llvm-objdump -d``, numbers are decimal, as offsets of members are.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Optional

from everykernel.namedtuple import NamedTuple
from everykernel.object.spec import INSN

if TYPE_CHECKING:
    from collections.abc import Iterator

UNKNOWN = "<unknown>"

# Classes of instructions, the low three bits of the code.
_LD, _LDX, _ST, _STX, _ALU, _JMP, _JMP32, _ALU64 = range(8)
_X = 0x08  # the source is a register
_SIZES = {0x00: 32, 0x08: 16, 0x10: 8, 0x18: 64}  # bits that BPF_W, BPF_H, BPF_B and BPF_DW move
LDIMM64 = 0x18
_ABS, _IND, _MEM, _MEMSX, _ATOMIC = 0x20, 0x40, 0x60, 0x80, 0xC0  # modes of loads and stores
_DIV, _NEG, _MOD, _MOV, _END = 0x30, 0x80, 0x90, 0xB0, 0xD0
_JA, _CALL, _EXIT, _MAY_GOTO = 0x00, 0x80, 0x90, 0xE0
_ARITHMETIC = {
    0x00: "+=", 0x10: "-=", 0x20: "*=", _DIV: "/=", 0x40: "|=", 0x50: "&=", 0x60: "<<=", 0x70: ">>=", _MOD: "%=",
    0xA0: "^=", _MOV: "=", 0xC0: "s>>=",
}  # fmt: skip
_SIGNED = {_DIV: "s/=", _MOD: "s%="}  # with offset 1
_COMPARED = {
    0x10: "==", 0x20: ">", 0x30: ">=", 0x40: "&", 0x50: "!=", 0x60: "s>", 0x70: "s>=", 0xA0: "<", 0xB0: "<=",
    0xC0: "s<", 0xD0: "s<=",
}  # fmt: skip
_ATOMICS = {0x00: ("+=", "add"), 0x40: ("|=", "or"), 0x50: ("&=", "and"), 0xA0: ("^=", "xor")}
_FETCH, _XCHG, _CMPXCHG, _LOAD_ACQ, _STORE_REL = 0x01, 0xE1, 0xF1, 0x100, 0x110
_ADDRESS_SPACES = 1  # BPF_ADDR_SPACE_CAST: the offset of such a move; the immediate is destination << 16 | source


class Line(NamedTuple):
    """One instruction: ``insn`` is its index, ``code`` its bytes (16 of a 64-bit load), ``jump`` where it leads.

    ``jump`` is the index of the instruction that a jump or a call inside the object goes to, None of all others.
    """

    insn: int
    code: bytes
    text: str
    jump: Optional[int] = None


class _Insn(NamedTuple):
    """The parts of an instruction; ``wide`` is the second half's immediate of a 64-bit load."""

    code: int
    dst: int
    src: int
    off: int
    imm: int
    wide: int = 0


def disassemble(code: bytes, byteorder: str) -> Iterator[Line]:
    """Yield a function's instructions; what is none is `UNKNOWN`, and bytes that are left over are not shown.

    ``byteorder`` is the object's: ``little`` or ``big``.
    """
    at = 0
    while at + INSN <= len(code):
        insn = _read(code, at, byteorder)
        length = 2 * INSN if insn.code == LDIMM64 and at + 2 * INSN <= len(code) else INSN
        yield Line(at // INSN, code[at : at + length], _text(insn, length), _jump(insn, at // INSN))
        at += length


def _read(code: bytes, at: int, byteorder: str) -> _Insn:
    order = "<" if byteorder == "little" else ">"
    opcode, registers, off, imm = struct.unpack_from(f"{order}BBhi", code, at)
    low, high = registers & 15, registers >> 4
    dst, src = (low, high) if order == "<" else (high, low)
    wide = struct.unpack_from(f"{order}I", code, at + 12)[0] if at + 2 * INSN <= len(code) else 0
    return _Insn(opcode, dst, src, off, imm, wide)


def _jump(insn: _Insn, number: int) -> Optional[int]:
    kind, operation = insn.code & 7, insn.code & 0xF0
    if kind == _JMP and operation == _CALL:
        return number + 1 + insn.imm if insn.code == _CALL | _JMP and insn.src == 1 else None
    if kind == _JMP32 and operation == _JA:
        return number + 1 + insn.imm
    jumps = kind in (_JMP, _JMP32) and operation in (*_COMPARED, *((_JA, _MAY_GOTO) if kind == _JMP else ()))
    return number + 1 + insn.off if jumps else None


def _text(insn: _Insn, length: int) -> str:
    kind = insn.code & 7
    if kind in (_ALU, _ALU64):
        return _arithmetic(insn)
    if kind in (_JMP, _JMP32):
        return _branch(insn)
    if kind == _LD:
        return _load(insn, length)
    return _memory(insn)


def _register(insn: _Insn, number: int) -> str:
    """Return a register: ``w`` is the lower half of ``r``, which 32-bit classes use."""
    return f"{'w' if insn.code & 7 in (_ALU, _JMP32) else 'r'}{number}"


def _arithmetic(insn: _Insn) -> str:
    wide, operation = insn.code & 7 == _ALU64, insn.code & 0xF0
    dst = _register(insn, insn.dst)
    if operation == _END:
        if insn.imm not in (16, 32, 64) or (wide and insn.code & _X):
            return UNKNOWN
        word = "bswap" if wide else "be" if insn.code & _X else "le"
        return f"r{insn.dst} = {word}{insn.imm} r{insn.dst}"
    if operation == _NEG:
        return UNKNOWN if insn.code & _X else f"{dst} = -{dst}"
    word = _ARITHMETIC.get(operation, "")
    source = _register(insn, insn.src) if insn.code & _X else str(insn.imm)
    if insn.off and operation == _MOV and insn.code & _X:
        if wide and insn.off == _ADDRESS_SPACES:
            return f"{dst} = addr_space_cast({source}, {insn.imm >> 16 & 0xFFFF}, {insn.imm & 0xFFFF})"
        if insn.off not in ((8, 16, 32) if wide else (8, 16)):
            return UNKNOWN
        source = f"(s{insn.off}){source}"
    elif insn.off:
        word = _SIGNED.get(operation, "") if insn.off == 1 else ""
    return f"{dst} {word} {source}" if word else UNKNOWN


def _branch(insn: _Insn) -> str:
    operation, plain = insn.code & 0xF0, insn.code & 7 == _JMP
    if insn.code == _JA | _JMP:
        return f"goto {insn.off:+d}"
    if insn.code == _JA | _JMP32:
        return f"gotol {insn.imm:+d}"
    if insn.code == _JA | _X | _JMP:
        return f"gotox r{insn.dst}"
    if insn.code == _MAY_GOTO | _JMP:
        return f"may_goto {insn.off:+d}"
    if insn.code == _EXIT | _JMP:
        return "exit"
    if operation == _CALL and plain:
        return f"callx r{insn.dst}" if insn.code & _X else f"call {insn.imm}"
    word = _COMPARED.get(operation)
    if word is None:
        return UNKNOWN
    source = _register(insn, insn.src) if insn.code & _X else insn.imm
    return f"if {_register(insn, insn.dst)} {word} {source} goto {insn.off:+d}"


def _load(insn: _Insn, length: int) -> str:
    """Return a load of an immediate of 64 bits, or one of a packet's bytes."""
    if insn.code == LDIMM64:
        if length != 2 * INSN:
            return UNKNOWN
        value = insn.imm & 0xFFFFFFFF | insn.wide << 32
        signed = value - (1 << 64) if value >> 63 else value
        return f"r{insn.dst} = {signed} ll"
    size, mode = _SIZES[insn.code & 0x18], insn.code & 0xE0
    if mode not in (_ABS, _IND) or size == 64:
        return UNKNOWN
    return f"r0 = *(u{size} *)skb[{insn.imm if mode == _ABS else f'r{insn.src}'}]"


def _memory(insn: _Insn) -> str:
    kind, mode, size = insn.code & 7, insn.code & 0xE0, _SIZES[insn.code & 0x18]
    if mode == _ATOMIC and kind == _STX:
        return _atomic(insn, size)
    base = insn.src if kind == _LDX else insn.dst
    if mode == _MEMSX and kind == _LDX and size != 64:
        return f"r{insn.dst} = *(s{size} *)({_place(base, insn.off)})"
    if mode != _MEM:
        return UNKNOWN
    cell = f"*(u{size} *)({_place(base, insn.off)})"
    if kind == _LDX:
        return f"r{insn.dst} = {cell}"
    return f"{cell} = {insn.imm if kind == _ST else f'r{insn.src}'}"


def _place(register: int, offset: int) -> str:
    return f"r{register} {'-' if offset < 0 else '+'} {abs(offset)}"


def _atomic(insn: _Insn, size: int) -> str:
    place, operation = _place(insn.dst, insn.off), insn.imm
    if operation == _LOAD_ACQ:
        return f"r{insn.dst} = load_acquire((u{size} *)({_place(insn.src, insn.off)}))"
    if operation == _STORE_REL:
        return f"store_release((u{size} *)({place}), r{insn.src})"
    if size not in (32, 64):
        return UNKNOWN
    letter, name = ("r", "64") if size == 64 else ("w", "32_32")
    source = f"{letter}{insn.src}"
    if operation in (_XCHG, _CMPXCHG):
        separator = "_" if size == 64 else ""
        if operation == _XCHG:
            return f"{source} = xchg{separator}{name}({place}, {source})"
        return f"{letter}0 = cmpxchg{separator}{name}({place}, {letter}0, {source})"
    words = _ATOMICS.get(operation & ~_FETCH)
    if words is None:
        return UNKNOWN
    if operation & _FETCH:
        return f"{source} = atomic_fetch_{words[1]}((u{size} *)({place}), {source})"
    return f"lock *(u{size} *)({place}) {words[0]} r{insn.src}"
