"""A session's program runs twice a call of the function, or once where it says so."""

import ctypes
import os


def check(obj):
    """Call labs(3), and once more when the programs are gone."""
    labs = ctypes.CDLL(None).labs
    obj.globals["ek_pid"] = os.getpid()
    for number in range(5):
        labs(-number)
    attached = [obj.programs[name].attached for name in ("on_both", "on_entry")]
    obj.detach()
    labs(-1)
    seen = [obj.globals["both"], obj.globals["entries"]]
    assert seen == [runs if there else 0 for runs, there in zip((10, 5), attached, strict=True)], f"ran {seen} times"
    return {"attached": attached, "seen": seen}
