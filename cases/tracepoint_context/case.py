"""Fields of tracepoint contexts are at the places that tracefs gives, and hold what is known otherwise."""

import os
import re
import threading
import time
from pathlib import Path

FORMAT = Path("/sys/kernel/tracing/events/sched/sched_switch/format")
TASK_INTERRUPTIBLE = 1  # Linux include/linux/sched.h


def check(obj):
    """Sleep, and open a file; compare what the tracepoints saw of both."""
    offsets = {name: int(at) for name, at in re.findall(r"(\w+)(?:\[\d+\])?;\s+offset:(\d+);", FORMAT.read_text())}
    values = obj.globals
    for name in ("prev_state", "next_comm", "next_prio"):
        assert values[f"offset_of_{name}"] == offsets[name], f"{name} is at {offsets[name]}"

    thread = threading.get_native_id()
    comm = Path(f"/proc/self/task/{thread}/comm").read_text().strip()
    priority = 100 + int(Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()[15])
    obj.globals["thread"] = thread
    for pause in (0.01, 0.1, 0.5):  # on a busy host the timer may fire before the thread has gone to sleep
        time.sleep(pause)
        values = obj.globals
        if values["outs"] and values["ins"]:
            break
    obj.globals["thread"] = 0
    assert values["outs"] >= 1, "no switch away from the thread was seen"
    assert values["ins"] >= 1, "no switch to the thread was seen"
    assert values["out_states"] & TASK_INTERRUPTIBLE, f"states {values['out_states']:#x}"
    assert (values["out_comm"], values["in_comm"]) == (comm, comm)
    assert (values["out_prio"], values["in_prio"]) == (priority, priority)

    obj.globals["ek_pid"] = os.getpid()
    os.close(os.open("/proc/./self/../version", os.O_RDONLY))
    obj.globals["ek_pid"] = 0
    assert obj.globals["opened"] == "/proc/./self/../version"
    return {"prev_state": offsets["prev_state"], "next_comm": offsets["next_comm"], "states": values["out_states"]}
