"""Instructions that came after v4.14: what a kernel says that lacks one, since when upstream has it, how to do without.

For messages only: a kernel is never asked by its version, it refused the program already.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import re
import struct
from typing import Optional, Union

from everykernel.load.kernel.releases import upstream
from everykernel.namedtuple import NamedTuple

# Classes, sources and operations of include/uapi/linux/bpf.h and bpf_common.h.
_LDX, _STX, _ALU, _ALU64 = 0x01, 0x03, 0x04, 0x07
_MEMSX, _ATOMIC = 0x80, 0xC0
_MOV_X, _DIV, _MOD = 0xB8, 0x30, 0x90
_JMP32, _WIDE, _CALL = 0x06, 0x18, 0x85
_OWN_CALL, _KERNEL_SYMBOL, _FUNCTION = 1, 3, 4  # BPF_PSEUDO_CALL, BPF_PSEUDO_BTF_ID, BPF_PSEUDO_FUNC
_ADDRESS_SPACES = 1  # BPF_ADDR_SPACE_CAST, the offset of such a move
_ACQUIRE, _RELEASE = 0x100, 0x110  # BPF_LOAD_ACQ, BPF_STORE_REL


class Newer(NamedTuple):
    """An instruction that a kernel may lack: its name, what such a kernel says, its first release, a way without."""

    name: str
    says: re.Pattern[str]
    since: str
    without: str


# Linux commits 8100928c8814, ec0e2da95f72, 1f9a1ea821ff, 0845c3db7bf5, 4cd58e9af8b9 (clang's cpu v4), 6082b6c328b5,
# 011832b97b31, 880442305a39; before, cc8b0b92a169, 092ed0968bb6, 4976b718c355, 69c087ba6225. What older kernels say:
# do_check, resolve_pseudo_ldimm64, check_alu_op, check_atomic.
_V3 = "compile with -mcpu=v3"
_MOVE = Newer("move with sign extension", re.compile("BPF_MOV uses reserved fields"), "v6.6", _V3)
_DIVISION = Newer("signed division", re.compile("BPF_ALU uses reserved fields"), "v6.6", _V3)
_LOAD = Newer("load with sign extension", re.compile("BPF_LDX uses reserved fields|unknown opcode [89]"), "v6.6", _V3)
_SWAP = Newer("unconditional byte swap", re.compile("unknown opcode d7|BPF_END uses reserved"), "v6.6", _V3)
_JUMP = Newer(
    "jump of 32 bits", re.compile("unknown opcode 06|unknown insn class 6|BPF_JA uses reserved fields"), "v6.6", _V3
)
_HALF = Newer("jump by half a register", re.compile("unknown insn class 6"), "v5.1", "compile with -mcpu=v2")
_OWN = Newer("call of the program's own functions", re.compile("BPF_CALL uses reserved fields"), "v4.16", "inline them")
_ADDRESS = re.compile("unrecognized bpf_ld_imm64 insn")
_SYMBOL = Newer("address of a typed symbol", _ADDRESS, "v5.10", "declare it void")
_CALLBACK = Newer("address of a function", _ADDRESS, "v5.13", "do without callbacks")
_MAY_GOTO = Newer("may_goto", re.compile("unknown opcode e5"), "v6.9", "bound the loop")
_CAST = Newer("cast between address spaces", _MOVE.says, "v6.9", "do without arenas")
_ORDERED = Newer("load-acquire or store-release", re.compile("reserved fields|invalid atomic op"), "v6.15", _V3)


def lacking(code: Union[bytes, bytearray], insn: Optional[int], reason: str, byteorder: str) -> str:
    """Return in words which instruction a kernel does not know, "" if that is not why it refused a program.

    Args:
        code: the linked program, 8 bytes an instruction.
        insn: the instruction that the verifier names; None where it only says what is wrong with one.
        reason: the verifier's words.
        byteorder: of the program: ``little`` or ``big``.
    """
    order = "<" if byteorder == "little" else ">"
    found = range(len(code) // 8) if insn is None else range(insn, min(insn + 1, len(code) // 8))
    lacks: Optional[Newer] = None
    for number in found:
        opcode, registers, offset, immediate = struct.unpack_from(f"{order}BBhi", code, 8 * number)
        source = registers >> 4 if order == "<" else registers & 0x0F
        newer = _newer(opcode, source, offset, immediate)
        if newer is not None and newer.says.search(reason) and (lacks is None or _age(newer) > _age(lacks)):
            lacks = newer  # of several, the newest is the one that a kernel lacks which says so of any
    return f"this kernel has no {lacks.name} ({upstream(lacks.since)}; {lacks.without})" if lacks else ""


def _age(newer: Newer) -> list[int]:
    return [int(number) for number in newer.since[1:].split(".")]


def _newer(opcode: int, source: int, offset: int, immediate: int) -> Optional[Newer]:
    """Return what an instruction is, None for one that v4.14 has."""
    kind = opcode & 0x07
    if opcode == _CALL:
        return _OWN if source == _OWN_CALL else None
    if opcode == _WIDE:
        return {_KERNEL_SYMBOL: _SYMBOL, _FUNCTION: _CALLBACK}.get(source)
    if opcode in (0xD7, 0x06, 0xE5):
        return {0xD7: _SWAP, 0x06: _JUMP, 0xE5: _MAY_GOTO}[opcode]
    if kind == _JMP32:
        return _HALF
    if kind == _LDX and opcode & 0xE0 == _MEMSX:
        return _LOAD
    if kind == _STX and opcode & 0xE0 == _ATOMIC and immediate in (_ACQUIRE, _RELEASE):
        return _ORDERED
    if kind in (_ALU, _ALU64) and offset:
        operation = opcode & 0xF8
        if operation == _MOV_X:
            return _CAST if kind == _ALU64 and offset == _ADDRESS_SPACES else _MOVE
        return _DIVISION if operation & 0xF0 in (_DIV, _MOD) else None
    return None
