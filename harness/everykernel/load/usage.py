"""How often the kernel ran a program, as it counts itself.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import struct
from typing import Optional

from everykernel.load import abi
from everykernel.load.syscalls import address, bpf
from everykernel.object.sections import PROGRAM_TYPE

_RUNS_AT = 200  # offset of run_cnt in struct bpf_prog_info (Linux commit 492ecee892c2, v5.1)


def count() -> int:
    """Have the kernel count the runs of every program until the returned descriptor is closed; -1 where it cannot.

    BPF_ENABLE_STATS is of Linux commit d46edd671a14 (v5.8).
    """
    try:
        return bpf(abi.ENABLE_STATS, abi.words(0))  # BPF_STATS_RUN_TIME
    except OSError:
        return -1


def runs(fd: int) -> Optional[int]:
    """Return how often a program ran while somebody had the kernel count, None where the kernel does not tell.

    It does not of one that replaces a function: its runs are part of the other program's.
    """
    buffer = bytearray(232)
    attributes = abi.info(fd, address(buffer), len(buffer))
    try:
        bpf(abi.OBJ_GET_INFO_BY_FD, attributes)
    except OSError:
        return None
    filled = struct.unpack_from("=I", attributes, 4)[0]
    if filled < _RUNS_AT + 8 or struct.unpack_from("=I", buffer)[0] == PROGRAM_TYPE["ext"]:
        return None
    return int(struct.unpack_from("=Q", buffer, _RUNS_AT)[0])
