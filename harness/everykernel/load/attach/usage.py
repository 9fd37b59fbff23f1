"""How often the kernel ran a program, as it counts itself.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.load.kernel import program
from everykernel.load.system import abi
from everykernel.object.sections import PROGRAM_TYPE

if TYPE_CHECKING:
    from everykernel.load.system.door import System

_SWITCH = "/proc/sys/kernel/bpf_stats_enabled"
_RUNS_AT = 200  # offset of run_cnt in struct bpf_prog_info (Linux commit 492ecee892c2, v5.1)


def count(system: System, *, lasting: bool = True) -> int:
    """Have the kernel count the runs of every program until the returned descriptor is closed; -1 where there is none.

    BPF_ENABLE_STATS is of Linux commit d46edd671a14 (v5.8), the sysctl before it of 492ecee892c2 (v5.1): that one
    outlives this process, and is left alone unless ``lasting``. Where the kernel has neither, nobody knows how often a
    program ran.
    """
    try:
        return system.bpf(abi.ENABLE_STATS, abi.words(0))  # BPF_STATS_RUN_TIME
    except OSError:
        try:
            if not lasting:
                raise
            system.write(_SWITCH, "1")
        except OSError:
            system.counts_runs = False
        return -1


def runs(system: System, fd: int) -> Optional[int]:
    """Return how often a program ran while somebody had the kernel count, None where the kernel does not tell.

    It does not of one that replaces a function: its runs are part of the other program's.
    """
    found = program.info(system, fd) if system.counts_runs else b""
    if len(found) < _RUNS_AT + 8 or system.unpack("I", found)[0] == PROGRAM_TYPE["ext"]:
        return None
    return int(system.unpack("Q", found, _RUNS_AT)[0])
