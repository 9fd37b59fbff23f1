"""Probes on a library's function see what its caller passes and gets, and run once a call."""

import ctypes
import os
from pathlib import Path


def check(obj):
    """Call labs(3) of the C library that this process has mapped."""
    libc = next(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libc.so.6" in line)
    records = [obj.programs["on_entry"].attach(f"{libc}:labs"), obj.programs["on_return"].attach()]
    assert [r["status"] for r in records] == ["passed", "passed"], [r["message"] for r in records]
    labs = ctypes.CDLL(None).labs
    labs.restype, labs.argtypes = ctypes.c_long, [ctypes.c_long]
    obj.globals["ek_pid"] = os.getpid()
    got = [labs(number) for number in (-5, 17, -123456)]
    assert got == [5, 17, 123456]
    seen = (obj.globals["argument"], obj.globals["result"], obj.globals["ek_hits"])
    assert seen == (-123456, 123456, 6), f"argument {seen[0]}, result {seen[1]}, {seen[2]} hits"
    missing = obj.programs["on_entry"].attach(f"{libc}:no_such_function")
    assert missing["code"] == "attach-target-missing", missing
    obj.detach()
    labs(-1)
    assert obj.globals["ek_hits"] == 6
    return {"library": libc}
