"""Registers at entry and return of vfs_read() hold what the reader asked for and got."""

import ctypes
import os
import tempfile


def check(obj):
    """Read into a buffer whose address is known."""
    buffer = ctypes.create_string_buffer(5000)
    with tempfile.TemporaryFile() as file:
        os.write(file.fileno(), b"EVERYKERNEL reads this")
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        obj.globals["wanted_count"] = 4321
        obj.globals["ek_pid"] = os.getpid()
        got = ctypes.CDLL(None).read(file.fileno(), buffer, 4321)
    values = obj.globals
    assert values["ek_hits"] == 2, f"{values['ek_hits']} probes hit instead of 2"
    assert values["buffer"] == ctypes.addressof(buffer), f"{values['buffer']:#x} is not the buffer's address"
    assert values["returned"] == got == len(b"EVERYKERNEL reads this")
    assert values["first_bytes"] == "EVERYKER"
    return {"returned": got}
