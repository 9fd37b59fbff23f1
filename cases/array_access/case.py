"""Limits, groups and a letter of the name, read out of arrays in the kernel, are what system calls and /proc say."""

import os
import threading
from pathlib import Path


def check(obj):
    """Set groups, and compare what the program reads with getgroups(2) and /proc/self."""
    groups = os.getgroups()
    os.setgroups([11, 222, 3333])
    try:
        obj.globals["ek_pid"] = os.getpid()
        os.getpgid(0)
        truth = {
            "nofile": _limits("Max open files"),
            "ngroups": 3,
            "groups": sorted(os.getgroups()),
            "third_letter": ord(Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text()[2]),
        }
    finally:
        os.setgroups(groups)
    values = obj.globals
    found = {key: values[key] for key in truth}
    assert found == truth, f"the program reads {found}, the system says {truth}"
    return found


def _limits(name):
    line = next(line for line in Path("/proc/self/limits").read_text().splitlines() if line.startswith(name))
    return [int(word) for word in line[len(name) :].split()[:2]]
