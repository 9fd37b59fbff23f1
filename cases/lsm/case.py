"""Each program turns setpriority(2) away with its own error for its own nice value; other values pass."""

import errno
import os
import threading

PROGRAMS = {"by_hook": (7, errno.EXDEV), "by_result": (9, errno.ENOTNAM)}


def check(obj):
    """Ask for an allowed value, for each forbidden one, and for that again when its program is gone."""
    thread = threading.get_native_id()
    values = obj.globals
    values["ek_pid"] = os.getpid()
    values["hook_nice"], values["changed_nice"] = (nice for nice, _ in PROGRAMS.values())
    found = {}
    for name, (nice, expected) in PROGRAMS.items():
        program = obj.programs[name]
        attached, before = program.attached, values["ek_hits"]
        assert _set_nice(thread, 3) == 0
        error = _set_nice(thread, nice)
        hits = values["ek_hits"] - before
        if attached:
            assert (error, hits) == (expected, 1), f"{name}: error {error}, {hits} hits"
            assert os.getpriority(os.PRIO_PROCESS, thread) == 3
            assert values["asked_pid"] == thread
            program.detach()
            assert _set_nice(thread, nice) == 0
        else:
            assert (error, hits) == (0, 0), f"{name}: error {error}, {hits} hits without the program"
        found[name] = error
    return found


def _set_nice(thread, value):
    try:
        os.setpriority(os.PRIO_PROCESS, thread, value)
    except OSError as e:
        return e.errno
    return 0
