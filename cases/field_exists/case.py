"""An inode's time and a task's processor are what system calls say, whatever the fields are called in this kernel."""

import os
import tempfile


def check(obj):
    """Give a file a time of its own and pin the task to each processor; compare what the program reads."""
    mtime = 1_600_000_123_456_789_012
    cpus = os.sched_getaffinity(0)
    with tempfile.TemporaryFile() as file:
        os.utime(file.fileno(), ns=(0, mtime))
        obj.globals["file_fd"] = file.fileno()
        obj.globals["ek_pid"] = os.getpid()
        for cpu in sorted(cpus):
            os.sched_setaffinity(0, {cpu})
            os.getpgid(0)
            values = obj.globals
            assert values["cpu"] == cpu, f"the program says processor {values['cpu']}, the task is pinned to {cpu}"
            found = values["seconds"] * 1_000_000_000 + values["nanoseconds"]
            assert found == mtime == os.fstat(file.fileno()).st_mtime_ns, f"the program reads the time {found}"
    os.sched_setaffinity(0, cpus)
    assert obj.globals["ek_hits"] == len(cpus)
    return {"generation": values["generation"], "processors": len(cpus)}
