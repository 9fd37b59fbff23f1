"""As many functions are entered and left as system calls are made."""

import os


def check(obj):
    """Make two system calls that the pattern names, and another."""
    obj.globals["ek_pid"] = os.getpid()
    for _ in range(3):
        os.getpgid(0)
        os.getresgid()
    os.getresuid()
    seen = [obj.globals[name] for name in ("entered", "left", "both")]
    attached = [obj.programs[name].attached for name in ("on_entry", "on_return", "on_both")]
    expected = [calls if there else 0 for calls, there in zip((4, 3, 6), attached, strict=True)]
    assert seen == expected, f"{seen[0]} entered, {seen[1]} left, {seen[2]} in sessions, instead of {expected}"
    return {"attached": attached, "seen": seen}
