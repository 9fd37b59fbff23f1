"""The tasks that an iterator prints are those of /proc."""

import contextlib
import os
import threading
from pathlib import Path


def check(obj):
    """Compare this process's threads, and all processes that live on, with /proc."""
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        before = _tasks()
        printed = {tuple(map(int, line.split())) for line in obj.programs["print"].read().splitlines()}
        after = _tasks()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    mine = {thread for process, thread in printed if process == os.getpid()}
    known = {thread for process, thread in before | after if process == os.getpid()}
    assert {os.getpid(), *(t.native_id for t in threads)} <= mine, f"{mine} lack a thread of {known}"
    assert mine <= known, f"{mine - known} are no threads of this process"
    assert before & after <= printed, f"not printed: {sorted(before & after - printed)}"
    assert obj.programs["print"].read(), "it can be read twice"
    return {"tasks": len(printed)}


def _tasks():
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(FileNotFoundError):
                found |= {(int(process.name), int(thread.name)) for thread in (process / "task").iterdir()}
    return found
