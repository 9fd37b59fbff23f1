"""The exec event of a child says what the parent, stat(2) and /proc say about it."""

import os
import shutil
import subprocess
import threading
from pathlib import Path


def check(obj):
    """Start a program and compare its exec event with what is known about it otherwise."""
    program = shutil.which("true")
    obj.globals["ek_pid"] = os.getpid()
    child = subprocess.Popen([program])
    assert child.wait() == 0
    samples = obj.maps["events"].events(count=1)
    assert len(samples) == 1, f"{len(samples)} events for one exec"
    event = obj.decode("event", samples[0])
    expected = {
        "inode": Path(program).stat().st_ino,
        "pid": child.pid,
        "parent": os.getpid(),
        "uid": os.getuid(),
        "comm": Path(program).name,
        "parent_comm": Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text().strip(),
        "filename": program,
    }
    assert event == expected, f"the event says {event}, the system {expected}"
    return event
