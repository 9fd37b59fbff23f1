"""The memory map's figures are those in /proc, through an anonymous struct that the object does not know of."""

import os
from pathlib import Path


def check(obj):
    """Compare figures of the own mm_struct with /proc/self/statm, maps and stat."""
    obj.globals["ek_pid"] = os.getpid()
    for _ in range(10):  # the map may change between the looks at it
        before = _truth()
        os.getpgid(0)
        if _truth() == before:
            break
    values = obj.globals
    found = {key: values[key] for key in before}
    assert found == before, f"the program reads {found}, /proc says {before}"
    return found


_GATES = ("[vsyscall]", "[vectors]")  # listed, and no areas of the process's own (x86, arm)


def _truth():
    lines = Path("/proc/self/maps").read_text().splitlines()
    arg_start, arg_end = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47]  # fields 48 and 49
    return {
        "total_vm": int(Path("/proc/self/statm").read_text().split()[0]),
        "map_count": sum(not line.endswith(_GATES) for line in lines),
        "arg_start": int(arg_start),
        "arg_end": int(arg_end),
    }
