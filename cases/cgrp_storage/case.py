"""Each cgroup has a count of its own, of the calls that were made while the process was in it."""

import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
# The system call's number: of x86-64, of those that take Linux's generic table, and of the others.
GETPGID = {"x86_64": 121, "aarch64": 155, "riscv64": 155}.get(os.uname().machine, 132)


def _enter(folder):
    (folder / "cgroup.procs").write_text(str(os.getpid()))


def check(obj):
    """Make calls in two cgroups, going to and fro."""
    one, other, untouched = (ROOT / name for name in ("one", "other", "untouched"))
    for folder in (one, other, untouched):
        folder.mkdir()
    obj.globals["wanted"], obj.globals["ek_pid"] = GETPGID, os.getpid()
    for folder, times in ((one, 3), (other, 7), (one, 2)):
        _enter(folder)
        for _ in range(times):
            os.getpgid(0)
    _enter(ROOT)
    found = []
    for folder in (one, other, untouched):
        descriptor = os.open(folder, os.O_RDONLY)
        found.append(obj.maps["cgroups"].lookup(descriptor))
        os.close(descriptor)
    assert found == [5, 7, None], f"the cgroups' counts are {found}"
    return {"calls": found[:2]}
