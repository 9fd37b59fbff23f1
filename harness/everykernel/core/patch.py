"""What a relocation does to an instruction: the new bytes, or those of an instruction that the verifier refuses.

Follows libbpf 1.8's bpf_core_patch_insn. A struct bpf_insn is eight bytes: code, registers (destination in the low
nibble, on a big-endian target in the high one), 16-bit offset, 32-bit immediate.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import Optional

from everykernel.core.refusal import Refused
from everykernel.core.values import U64
from everykernel.namedtuple import NamedTuple

SIZE = 8  # bytes of an instruction
LDIMM64 = 0x18  # BPF_LD | BPF_IMM | BPF_DW: takes two instructions
# A call of a helper that does not exist: if it is reached, the verifier says "invalid func unknown#195896080".
POISON_CALL = 195896080  # 0xbad2310, "bad relo"
_FRAME = 10  # r10, the frame pointer
_LD, _LDX, _ST, _STX, _ALU, _ALU64 = 0, 1, 2, 3, 4, 7
_X = 0x08  # source is a register
_SIZES = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}  # BPF_W, BPF_H, BPF_B, BPF_DW
_SIZE_CODES = {size: code for code, size in _SIZES.items()}
_ORDERS = {"little": "<", "big": ">"}


class Change(NamedTuple):
    """How a relocation's value changes from the object to the kernel (see `values.Value` for the parts)."""

    old: int
    new: int
    exact: bool
    old_size: int
    new_size: int
    adjustable: bool  # whether a load or store may change from old_size to new_size


class Patched(NamedTuple):
    """New bytes of the instruction (16 for LDIMM64), and the field that changed, before and after."""

    code: bytes
    old: int
    new: int
    mem_size: Optional[int]
    poisoned: str  # why the instruction was poisoned after all, "" if it was not


def length(insn: bytes) -> int:
    """Return how many bytes the instruction takes: 8 or 16."""
    return 2 * SIZE if insn[:1] == b"\x18" else SIZE


def poison(insn: bytes, byteorder: str) -> bytes:
    """Return the bytes that take the instruction's place: one call of no helper for each 8 bytes of it.

    Raises Refused for an instruction that cannot be relocated (libbpf 1.7 poisoned such ones, too).
    """
    check(insn, byteorder)
    return calls(insn, byteorder)


def calls(insn: bytes, byteorder: str) -> bytes:
    """Return what `poison` does for any instruction, fit to be relocated or not (aya's poison_insn)."""
    call = struct.pack(_ORDERS[byteorder] + "BBhi", 0x85, 0, 0, POISON_CALL)
    return call * (length(insn) // SIZE)


def poison_kept_wide(insn: bytes, byteorder: str) -> bytes:
    """Return what cilium/ebpf puts in an instruction's place (COREFixup.Apply): a 64-bit load becomes one into r10.

    Any other becomes the call of no helper, also one that cannot be relocated.
    """
    order = _ORDERS[byteorder]
    if insn[0] != LDIMM64:
        return struct.pack(order + "BBhi", 0x85, 0, 0, POISON_CALL)
    registers = _FRAME if byteorder == "little" else _FRAME << 4
    return struct.pack(order + "BBhi", LDIMM64, registers, 0, POISON_CALL) + bytes(SIZE)


def immediate(insn: bytes, byteorder: str) -> int:
    """Return the field that a relocation patches: a load's or store's offset, else the immediate (LDIMM64: 64 bits)."""
    order = _ORDERS[byteorder]
    code, _, offset, imm = struct.unpack_from(order + "BBhi", insn)
    if code == LDIMM64 and len(insn) >= 2 * SIZE:
        return int(imm & 0xFFFFFFFF | struct.unpack_from(order + "I", insn, 12)[0] << 32)
    return int(offset if code & 7 in (_LDX, _ST, _STX) else imm)


def check(insn: bytes, byteorder: str) -> None:
    """Raise Refused for an instruction that cannot be relocated, whatever the record comes to."""
    code, kind = insn[0], insn[0] & 7
    if kind in (_ALU, _ALU64):
        if code & _X:
            raise Refused("the instruction takes no immediate")
    elif kind == _LD:
        _check_ldimm64(insn, byteorder)
    elif kind not in (_LDX, _ST, _STX):
        raise Refused(f"an instruction with code {code:#04x} cannot be relocated")


def _check_ldimm64(insn: bytes, byteorder: str) -> None:
    if insn[0] != LDIMM64:
        raise Refused("the instruction is no plain 64-bit load")
    if len(insn) < 2 * SIZE:
        raise Refused("a 64-bit load lacks its second half")
    order = _ORDERS[byteorder]
    _, registers, offset, _ = struct.unpack_from(order + "BBhI", insn)
    code2, registers2, offset2, _ = struct.unpack_from(order + "BBhI", insn, SIZE)
    source = registers >> 4 if order == "<" else registers & 0x0F
    if source or offset or code2 or registers2 or offset2:
        raise Refused("the instruction is no plain 64-bit load")


def patch(insn: bytes, change: Change, byteorder: str) -> Patched:
    """Return the instruction with the kernel's value in it; raise Refused where libbpf does."""
    check(insn, byteorder)
    order = _ORDERS[byteorder]
    code, registers, offset, imm = struct.unpack_from(order + "BBhi", insn)
    kind = code & 7
    if kind in (_ALU, _ALU64):
        if change.exact and imm & U64 != change.old:
            raise Refused(f"the instruction's immediate is {imm}, its record says {_signed(change.old)}")
        new = (change.new & 0xFFFFFFFF) - ((change.new & 0x80000000) << 1)
        return Patched(struct.pack(order + "BBhi", code, registers, offset, new), imm, new, None, "")
    return _patch_ldimm64(insn, change, order) if kind == _LD else _patch_access(insn, change, order)


def _patch_access(insn: bytes, change: Change, order: str) -> Patched:
    """Patch a load's or store's offset, and its width where the field's size changed."""
    code, registers, offset, imm = struct.unpack_from(order + "BBhi", insn)
    if change.exact and offset & U64 != change.old:
        raise Refused(f"the instruction's offset is {offset}, its record says {_signed(change.old)}")
    if change.new > 0x7FFF:
        raise Refused(f"offset {change.new} does not fit into an instruction", errno="ERANGE")
    if not change.adjustable:
        why = f"its size is {change.old_size} bytes here and {change.new_size} in the kernel, and only pointers and "
        why += "unsigned integers can be loaded with another size"
        return Patched(poison(insn, "little" if order == "<" else "big"), offset, change.new, None, why)
    mem_size = None
    if change.new_size != change.old_size:
        width = _SIZES[code & 0x18]
        if width != change.old_size:
            raise Refused(f"the instruction moves {width} bytes of a field of {change.old_size}, now {change.new_size}")
        if change.new_size not in _SIZE_CODES:
            raise Refused(f"no instruction moves {change.new_size} bytes")
        mem_size = change.new_size
        code = code & ~0x18 | _SIZE_CODES[mem_size]
    return Patched(struct.pack(order + "BBhi", code, registers, change.new, imm), offset, change.new, mem_size, "")


def _patch_ldimm64(insn: bytes, change: Change, order: str) -> Patched:
    """Patch the 64-bit immediate of a pair of instructions."""
    code, registers, offset, low = struct.unpack_from(order + "BBhI", insn)
    code2, registers2, offset2, high = struct.unpack_from(order + "BBhI", insn, SIZE)
    old = low | high << 32
    if change.exact and old != change.old:
        raise Refused(f"the instruction's immediate is {old}, its record says {change.old}")
    new = change.new
    halves = struct.pack(order + "BBhI", code, registers, offset, new & 0xFFFFFFFF)
    halves += struct.pack(order + "BBhI", code2, registers2, offset2, new >> 32)
    return Patched(halves, old, new, None, "")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
