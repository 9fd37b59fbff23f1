"""A hash counts the system calls of one process, each kind as often as it was called."""

import ctypes
import os

CALLS = {"getpgid": 123, "getsid": 45}
# Linux arch/x86/entry/syscalls/syscall_64.tbl and syscall_32.tbl
NUMBERS = {"x86_64": {"getpgid": 121, "getsid": 124}, "i686": {"getpgid": 132, "getsid": 147}}


def check(obj):
    """Call two system calls a known number of times each."""
    libc = ctypes.CDLL(None)
    obj.globals["ek_pid"] = os.getpid()
    for name, times in CALLS.items():
        function = getattr(libc, name)
        for _ in range(times):
            function(0)
    obj.globals["ek_pid"] = 0
    counted = dict(obj.maps["calls"].items())
    numbers = NUMBERS[os.uname().machine]
    found = {name: counted.get(numbers[name]) for name in CALLS}
    assert found == CALLS, f"counted {found} instead of {CALLS}"
    return found
