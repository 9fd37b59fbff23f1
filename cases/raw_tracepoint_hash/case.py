"""A hash counts the system calls of one process, each kind as often as it was called, and those that fail."""

import ctypes
import os

CALLS = {"getpgid": 123, "getsid": 45}
FAILING = 7  # more calls of getpgid(2)
# Linux arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h, and the numbers of all others
X86_64 = {"getpgid": 121, "getsid": 124}
GENERIC = {"getpgid": 155, "getsid": 156}
OTHERS = {"getpgid": 132, "getsid": 147}
NUMBERS = {"x86_64": X86_64, "aarch64": GENERIC, "riscv64": GENERIC}


def check(obj):
    """Call two system calls a known number of times each, one of them in vain too."""
    libc = ctypes.CDLL(None)
    obj.globals["ek_pid"] = os.getpid()
    for name, times in CALLS.items():
        function = getattr(libc, name)
        for _ in range(times):
            function(0)
    for _ in range(FAILING):
        libc.getpgid(0x3FFFFFF)
    obj.globals["ek_pid"] = 0
    counted = dict(obj.maps["calls"].items())
    numbers = NUMBERS.get(os.uname().machine, OTHERS)
    found = {name: counted.get(numbers[name]) for name in CALLS}
    expected = {**CALLS, "getpgid": CALLS["getpgid"] + FAILING}
    assert found == expected, f"counted {found} instead of {expected}"
    assert obj.globals["failed"] == FAILING, f"{obj.globals['failed']} calls seen to fail"
    return found
