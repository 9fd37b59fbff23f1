"""Of each layout it is told whether it is the kernel's, and it reads what that says."""

import os
import sys
from pathlib import Path


def check(obj):
    """Fork a child whose number is known."""
    comm = Path("/proc/self/comm").read_bytes()[:4]
    obj.globals["ek_pid"] = os.getpid()
    child = os.fork()
    if not child:
        os._exit(0)
    obj.globals["ek_pid"] = 0
    os.waitpid(child, 0)
    values = obj.globals
    right = {
        "old_layout": values["old_child"] == child,
        "new_layout": values["new_child"] == child,
        "name": values["old_name"] == int.from_bytes(comm, sys.byteorder),
    }
    told = {m["program"] for m in obj.misreads}
    assert told == {program for program, holds in right.items() if not holds}, f"{told}, and right are {right}"
    assert right["old_layout"] != right["new_layout"]
    return {"right": right, "misreads": obj.misreads}
