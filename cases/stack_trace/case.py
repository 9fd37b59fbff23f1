"""A stack's addresses are those that the kernel tells of the same process in /proc."""

import os
import re
import signal
import struct
import time
from pathlib import Path


def _addresses(value):
    return [address for address in struct.unpack(f"={len(value) // 8}Q", value) if address]


def _waiting(process):
    """Return the kernel's own word on a process that waits in read(2): functions and offsets, the innermost first.

    32-bit arm tells of no other process where it is but for the instruction: nothing but vfs_read is known there.
    """
    for _ in range(50):
        if os.uname().machine == "armv7l" and Path(f"/proc/{process}/syscall").read_text().startswith("3 "):  # read(2)
            return [("vfs_read", 0)]
        text = Path(f"/proc/{process}/stack").read_text()
        if "vfs_read+" in text:
            return [(name, int(offset, 16)) for name, offset in re.findall(r" (\S+)\+(0x[0-9a-f]+)/", text)]
        time.sleep(0.1)
    raise AssertionError(f"the child does not wait in read(2): {text}")


def _starts(functions):
    """Return functions' addresses. Searched as one text: an emulated processor is slow with its 200000 lines."""
    text = Path("/proc/kallsyms").read_text()
    ends = {name: text.index(f" {name}\n") for name in functions}
    return {name: int(text[text.rfind("\n", 0, end) + 1 : end].split()[0], 16) for name, end in ends.items()}


def check(obj):
    """Have a child wait in read(2): its stack in /proc is what the program saw on the way there."""
    reading, writing = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    child = os.fork()
    if not child:
        signal.sigwait({signal.SIGUSR1})
        os.read(reading, 1)
        os._exit(0)
    obj.globals["ek_pid"] = child
    os.kill(child, signal.SIGUSR1)
    waiting = _waiting(child)
    instruction = int(Path(f"/proc/{child}/syscall").read_text().split()[-1], 16)  # where the process will go on
    os.write(writing, b".")
    os.waitpid(child, 0)
    stack, user = (_addresses(obj.maps["stacks"].lookup(obj.globals[f"{who}_stack"])) for who in ("kernel", "user"))
    starts = _starts([name for name, _ in waiting])
    callers = [starts[name] + offset for name, offset in waiting][1 + [n for n, _ in waiting].index("vfs_read") :]
    assert 0 <= stack[0] - starts["vfs_read"] < 16, f"the stack begins at {stack[0]:#x}"
    # a caller that has not set up its frame yet is not seen by unwinders that go by frame pointers
    assert len(waiting) == 1 or stack[1:] in (callers, callers[1:]), f"{stack}, and the kernel says {callers}"
    assert user[0] == instruction, f"the process is at {instruction:#x}, and at {user[0]:#x} in the map"
    return {"stack": [name for name, _ in waiting], "depth": len(stack)}
