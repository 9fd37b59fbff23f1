"""As many page faults as the kernel accounts to the process run the program; a clock runs it too."""

import contextlib
import mmap
import os
import resource
import time


def check(obj):
    """Touch fresh pages and compare with getrusage(2)."""
    program = obj.programs["on_fault"]
    record = program.attach("page-faults:1")
    assert record["status"] == "passed", record["message"]
    obj.globals["ek_pid"] = os.getpid()
    before, counted = _faults(), obj.globals["ek_hits"]
    with mmap.mmap(-1, 300 * mmap.PAGESIZE) as pages:
        with contextlib.suppress(OSError):  # a kernel without huge pages
            pages.madvise(15)  # MADV_NOHUGEPAGE
        for number in range(300):
            pages[number * mmap.PAGESIZE] = 1
    counted, after = obj.globals["ek_hits"] - counted, _faults()
    program.detach()
    assert 300 <= counted <= after - before, f"{counted} page faults counted, {after - before} accounted"
    hits = obj.globals["ek_hits"]
    assert program.attach()["status"] == "passed"
    deadline = time.monotonic() + 5
    while obj.globals["ek_hits"] == hits and time.monotonic() < deadline:
        sum(range(1000))
    program.detach()
    assert obj.globals["ek_hits"] > hits, "the clock never ran the program"
    return {"faults": counted}


def _faults():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_minflt + used.ru_majflt
