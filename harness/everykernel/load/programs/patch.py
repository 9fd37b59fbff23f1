"""What loading writes into instructions: source registers, and what externs came to.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import Literal

from everykernel.namedtuple import NamedTuple

PSEUDO_MAP_FD, PSEUDO_MAP_VALUE, PSEUDO_BTF_ID, PSEUDO_FUNC, PSEUDO_CALL, PSEUDO_KFUNC_CALL = 1, 2, 3, 4, 1, 2
POISON_KFUNC = 2002000000  # libbpf's POISON_CALL_KFUNC_BASE


class Writer:
    """Instructions in the byte order of the machine that they are for."""

    def __init__(self, byteorder: str) -> None:
        self._byteorder: Literal["little", "big"] = "little" if byteorder == "little" else "big"

    def set(self, code: bytearray, at: int, size: int, value: int) -> None:
        """Set a field of an instruction: the lower bytes of a number, with its sign or without."""
        code[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, self._byteorder)

    def get(self, code: bytearray, at: int) -> int:
        """Return an immediate."""
        return int.from_bytes(code[at : at + 4], self._byteorder)

    def source(self, code: bytearray, at: int, register: int) -> None:
        """Set src_reg, a nibble whose side of the byte follows the machine's byte order."""
        if self._byteorder == "little":
            code[at + 1] = code[at + 1] & 0x0F | register << 4
        else:
            code[at + 1] = code[at + 1] & 0xF0 | register

    def wide(self, code: bytearray, at: int, register: int, low: int, high: int) -> None:
        """Fill in a 64-bit load: source register, and the immediates of its two halves."""
        self.source(code, at, register)
        self.set(code, at + 4, 4, low)
        self.set(code, at + 12, 4, high)


class Resolved(NamedTuple):
    """What one extern came to.

    ``kind``: ``kconfig`` (at ``offset`` of the .kconfig map, whose descriptor is ``value``), ``address``, ``btf`` (a
    variable's BTF id), ``kfunc`` (a function's BTF id, ``slot`` in the descriptor array), ``symbol`` (nothing defines
    it: it stays) or ``missing`` (``slot``: its number among the externs, ``instead``: what is called in its place, 0:
    by that number). ``btf_fd`` is the descriptor of the module's BTF that an id is of (0: the kernel's).
    ``errno`` is libbpf's answer to one that has a reason ``code``.
    """

    kind: str
    value: int = 0
    offset: int = 0
    slot: int = 0
    code: str = ""
    message: str = ""
    btf_fd: int = 0
    errno: str = ""
    instead: int = 0

    def patch(self, writer: Writer, code: bytearray, at: int, *, call: bool) -> None:
        """Fill in the instruction at byte ``at``; a call of what is not there fails if it is reached."""
        if call:
            found = self.kind == "kfunc"
            writer.source(code, at, PSEUDO_KFUNC_CALL if found else 0)
            writer.set(code, at + 4, 4, self.value if found else self.instead or POISON_KFUNC + self.slot)
            writer.set(code, at + 2, 2, self.slot if found else 0)
            return
        if self.kind == "symbol":
            return
        low, high, register = self.value & 0xFFFFFFFF, self.value >> 32, 0
        if self.kind == "kconfig":
            high, register = self.offset, PSEUDO_MAP_VALUE
        elif self.kind in ("btf", "kfunc"):
            high, register = self.btf_fd, PSEUDO_BTF_ID
        writer.wide(code, at, register, low, high)
