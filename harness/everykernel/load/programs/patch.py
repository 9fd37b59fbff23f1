"""What loading writes into instructions: source registers, and what externs came to.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

PSEUDO_MAP_FD, PSEUDO_MAP_VALUE, PSEUDO_BTF_ID, PSEUDO_FUNC, PSEUDO_CALL, PSEUDO_KFUNC_CALL = 1, 2, 3, 4, 1, 2
POISON_KFUNC = 2002000000  # libbpf's POISON_CALL_KFUNC_BASE
_IMM = struct.Struct("=i")


class Resolved(NamedTuple):
    """What one extern came to.

    ``kind``: ``kconfig`` (at ``offset`` of the .kconfig map, whose descriptor is ``value``), ``address``, ``btf`` (a
    variable's BTF id), ``kfunc`` (a function's BTF id, ``slot`` in the descriptor array) or ``missing``. ``btf_fd``
    is the descriptor of the module's BTF that an id is of (0: the kernel's).
    """

    kind: str
    value: int = 0
    offset: int = 0
    slot: int = 0
    code: str = ""
    message: str = ""
    btf_fd: int = 0

    def patch(self, code: bytearray, at: int, *, call: bool) -> None:
        """Fill in the instruction at byte ``at``; a call of what is not there fails if it is reached."""
        if call:
            found = self.kind == "kfunc"
            source(code, at, PSEUDO_KFUNC_CALL if found else 0)
            _IMM.pack_into(code, at + 4, self.value if found else POISON_KFUNC)
            struct.pack_into("=h", code, at + 2, self.slot if found else 0)
            return
        low, high, register = self.value & 0xFFFFFFFF, self.value >> 32, 0
        if self.kind == "kconfig":
            high, register = self.offset, PSEUDO_MAP_VALUE
        elif self.kind in ("btf", "kfunc"):
            high, register = self.btf_fd, PSEUDO_BTF_ID
        source(code, at, register)
        struct.pack_into("=I", code, at + 4, low)
        struct.pack_into("=I", code, at + 12, high)


def source(code: bytearray, at: int, register: int) -> None:
    """Set src_reg, a nibble whose side of the byte follows the machine's byte order."""
    if _LITTLE:
        code[at + 1] = code[at + 1] & 0x0F | register << 4
    else:
        code[at + 1] = code[at + 1] & 0xF0 | register


_LITTLE = struct.pack("=H", 1)[0] == 1
