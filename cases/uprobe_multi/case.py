"""A library's functions are entered, and one of them is left, as often as they are called."""

import ctypes
import os


def check(obj):
    """Call two functions that the pattern names and another, and each once more when the programs are gone."""
    libc = ctypes.CDLL(None)
    obj.globals["ek_pid"] = os.getpid()
    for _ in range(3):
        libc.getpgid(0)
        libc.getegid()
    for number in range(5):
        libc.labs(-number)
    attached = [obj.programs[name].attached for name in ("on_entry", "on_return")]
    obj.detach()
    libc.getegid()
    libc.labs(-1)
    seen = [obj.globals["entered"], obj.globals["left"]]
    expected = [calls if there else 0 for calls, there in zip((6, 5), attached, strict=True)]
    assert seen == expected, f"{seen[0]} entered, {seen[1]} left, instead of {expected}"
    return {"attached": attached, "seen": seen}
