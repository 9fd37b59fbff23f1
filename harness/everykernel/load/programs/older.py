"""Calls that become others where a kernel lacks a helper: every loader does so (libbpf's bpf_object__sanitize_prog).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import Union

_CALL = b"\x85\0"  # of a helper: registers are not used
# What reads the kernel's memory or a process's, and what reads either, on the architectures where it can.
_READS = {112: 4, 113: 4, 114: 45, 115: 45}  # probe_read_{user,kernel}, then the same with _str


def reads(code: Union[bytes, bytearray]) -> bool:
    """Whether there may be a call of a helper that not every kernel has in a program: eight bytes an instruction."""
    return any(code[at : at + 2] == _CALL and code[at + 4] | code[at + 7] in _READS for at in range(0, len(code), 8))


def replace_reads(code: bytearray, byteorder: str) -> None:
    """Have a program call bpf_probe_read() and bpf_probe_read_str() in place of those that know which memory it is."""
    order = "<" if byteorder == "little" else ">"
    immediate = struct.Struct(f"{order}i")
    for at in range(0, len(code), 8):
        if code[at : at + 2] == _CALL:
            (number,) = immediate.unpack_from(code, at + 4)
            immediate.pack_into(code, at + 4, _READS.get(number, number))
