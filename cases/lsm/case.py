"""A security hook turns setpriority(2) away with the program's error; other values pass."""

import errno
import os
import threading


def check(obj):
    """Ask for two nice values, and for the forbidden one again when the program is gone."""
    thread = threading.get_native_id()
    obj.globals["ek_pid"] = os.getpid()
    obj.globals["wanted_nice"] = 7
    program = obj.programs["on_setnice"]
    attached = program.attached
    assert _set_nice(thread, 3) == 0
    error = _set_nice(thread, 7)
    hits = obj.globals["ek_hits"]
    if not attached:
        assert (error, hits) == (0, 0), f"error {error}, {hits} hits without the program"
        return {"attached": False}
    assert error == errno.EXDEV, f"setpriority(2) ended with {error}"
    assert os.getpriority(os.PRIO_PROCESS, thread) == 3
    assert obj.globals["asked_pid"] == thread
    program.detach()
    assert _set_nice(thread, 7) == 0
    assert obj.globals["ek_hits"] == hits == 1
    return {"attached": True, "error": error}


def _set_nice(thread, value):
    try:
        os.setpriority(os.PRIO_PROCESS, thread, value)
    except OSError as e:
        return e.errno
    return 0
