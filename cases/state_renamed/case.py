"""The state of a sleeping and of a stopped child is what /proc says, by either of the field's two names."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

LETTERS = "RSDTtXZP"  # Linux fs/proc/array.c: task_state_array[fls(state & TASK_REPORT)]
TASK_REPORT = 0x7F


def check(obj):
    """Compare what the program reads from the child's task_struct with the letter in /proc/PID/stat."""
    child = subprocess.Popen([shutil.which("sleep"), "1000"])
    seen = {}
    try:
        obj.globals["child_pid"] = child.pid
        obj.globals["ek_pid"] = os.getpid()
        for letter, prepare in (("S", lambda: None), ("T", lambda: child.send_signal(signal.SIGSTOP))):
            prepare()
            _wait_for(child.pid, letter)
            os.getpgid(0)
            state = obj.globals["child_state"]
            assert LETTERS[(state & TASK_REPORT).bit_length()] == letter, f"state {state:#x}, /proc says {letter}"
            seen[letter] = state
    finally:
        child.kill()
        child.wait()
    values = obj.globals
    assert values["ek_hits"] == 2, f"the child was found {values['ek_hits']} times of 2"
    assert values["state_size"] == (4 if values["renamed"] else 8), f"{values['state_size']} bytes"
    return {**seen, "renamed": values["renamed"], "state_size": values["state_size"]}


def _wait_for(pid, letter):
    deadline = time.monotonic() + 5
    while (now := Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) != letter:
        assert time.monotonic() < deadline, f"the child is {now} and never became {letter}"
        time.sleep(0.001)
