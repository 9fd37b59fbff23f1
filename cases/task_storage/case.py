"""Each process has a count of its own, and takes it along when it ends."""

import contextlib
import os
import signal

# The system call's number: of x86-64, of those that take Linux's generic table, and of the others.
GETPGID = {"x86_64": 121, "aarch64": 155, "riscv64": 155}.get(os.uname().machine, 132)


def _child(times):
    """Start a process that makes so many calls when it is told to, and then waits; return its id."""
    child = os.fork()
    if child:
        return child
    for _ in range(times):
        os.getpgid(0)
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(0)


def check(obj):
    """Have two processes make calls; ask by their descriptors."""
    threads = obj.maps["threads"]
    obj.globals["wanted"] = GETPGID
    children = {_child(times): times for times in (3, 7)}
    for child, times in children.items():
        os.waitpid(child, os.WUNTRACED)
        descriptor = os.pidfd_open(child)
        found = threads.lookup(descriptor)
        assert found == {"count": times, "thread": child}, f"{found}, {times} calls of process {child}"
        os.kill(child, signal.SIGCONT)
        os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):  # of a process that is not there any more
            assert threads.lookup(descriptor) is None, f"the storage of process {child}, which has ended"
        os.close(descriptor)
    return {"calls": sorted(children.values())}
