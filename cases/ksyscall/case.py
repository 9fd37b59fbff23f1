"""Probes on a system call see what its caller passes and gets, a failure as a negative errno."""

import errno
import os


def check(obj):
    """Ask for the group of processes that are there, and of one that is not."""
    values = obj.globals
    values["ek_pid"] = os.getpid()
    group = os.getpgid(os.getpid())
    seen = values["argument"], values["result"]
    assert seen == (os.getpid(), group), f"saw {seen} instead of {(os.getpid(), group)}"
    try:
        os.getpgid(0x3FFFFFF)
    except ProcessLookupError:
        seen = values["argument"], values["result"]
    assert seen == (0x3FFFFFF, -errno.ESRCH), f"saw {seen} of a call that fails"
    assert values["ek_hits"] == 4, f"{values['ek_hits']} hits"
    obj.detach()
    os.getpgid(0)
    assert values["ek_hits"] == 4
    return {"group": group}
