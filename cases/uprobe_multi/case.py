"""A library's function is entered and left as often as it is called."""

import ctypes
import os


def check(obj):
    """Call labs(3), and once more when the programs are gone."""
    labs = ctypes.CDLL(None).labs
    obj.globals["ek_pid"] = os.getpid()
    for number in range(5):
        labs(-number)
    attached = [obj.programs[name].attached for name in ("on_entry", "on_return")]
    obj.detach()
    labs(-1)
    seen = [obj.globals["entered"], obj.globals["left"]]
    assert seen == [5 * there for there in attached], f"{seen[0]} entered, {seen[1]} left"
    return {"attached": attached, "seen": seen}
