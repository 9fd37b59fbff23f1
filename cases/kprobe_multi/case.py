"""As many functions are entered and left as system calls are made."""

import os


def check(obj):
    """Make two different system calls, some of them twice."""
    obj.globals["ek_pid"] = os.getpid()
    for _ in range(3):
        os.getpgid(0)
    os.getpgrp()
    seen = (obj.globals["entered"], obj.globals["left"])
    attached = obj.programs["on_entry"].attached
    # getpgrp(3) is getpgrp(2) or getpgid(2), as the C library likes
    expected = ((4, 3), (4, 4)) if attached else ((0, 0),)
    assert seen in expected, f"{seen[0]} entered, {seen[1]} left"
    return {"attached": attached, "entered": seen[0], "left": seen[1]}
