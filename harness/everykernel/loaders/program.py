"""What can be run in a guest as an adapter: a static program for its architecture."""

from __future__ import annotations

import struct

from everykernel.architectures import ARCHITECTURES, Architecture

_WIDTHS = {4: (1, "HHIIIIIHHHHHH", 32), 8: (2, "HHIQQQIHHHHHH", 56)}  # ELF class, header, size of a program header
_ORDERS = {"little": (1, "<"), "big": (2, ">")}
_IDENT = 16  # bytes of e_ident
_EXECUTABLE, _SHARED = 2, 3  # ET_EXEC, ET_DYN: the second also for static programs that can lie anywhere
_INTERP = 3  # PT_INTERP


def built_for(data: bytes) -> str:
    """Return the architecture that these bytes are a static program for; "" where they are none.

    A static program is one that asks for no interpreter.
    """
    return next((arch.name for arch in ARCHITECTURES.values() if _is_static(data, arch)), "")


def _is_static(data: bytes, arch: Architecture) -> bool:
    (width, layout, entry), (order, sign) = _WIDTHS[arch.pointer_size], _ORDERS[arch.byteorder]
    header = struct.Struct(sign + layout)
    if len(data) < _IDENT + header.size or not data.startswith(b"\x7fELF" + bytes((width, order, 1))):
        return False
    kind, machine, _, _, at, _, _, _, size, count, *_ = header.unpack_from(data, _IDENT)
    if kind not in (_EXECUTABLE, _SHARED) or machine != arch.elf_machine or size != entry or not count:
        return False
    if at + size * count > len(data):
        return False
    kinds = (struct.unpack_from(f"{sign}I", data, at + size * number)[0] for number in range(count))
    return all(kind != _INTERP for kind in kinds)
