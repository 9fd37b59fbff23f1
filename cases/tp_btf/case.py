"""The tracepoint's arguments are the thread that starts a process and the process that it starts."""

import os
import subprocess
import threading


def check(obj):
    """Start a process, then a thread."""
    values = obj.globals
    values["ek_pid"] = os.getpid()
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    seen = (values["parent_pid"], values["child_pid"], values["child_tgid"])
    assert seen == (threading.get_native_id(), process.pid, process.pid), f"saw {seen}, started {process.pid}"
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    seen = (values["child_pid"], values["child_tgid"])
    assert seen == (thread.native_id, os.getpid()), f"saw {seen}, started thread {thread.native_id}"
    return {"process": process.pid, "hits": values["ek_hits"]}
