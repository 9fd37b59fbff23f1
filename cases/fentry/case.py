"""What entry and exit of vfs_read() see is what the reader knows about its own read."""

import os
import tempfile
from pathlib import Path


def check(obj):
    """Read from the middle of a file and compare descriptor, position and result."""
    with tempfile.TemporaryFile() as file:
        os.write(file.fileno(), b"x" * 5000)
        os.lseek(file.fileno(), 700, os.SEEK_SET)
        flags = next(
            int(line.split()[1], 8)
            for line in Path(f"/proc/self/fdinfo/{file.fileno()}").read_text().splitlines()
            if line.startswith("flags:")
        )
        obj.globals["wanted_count"] = 4321
        obj.globals["ek_pid"] = os.getpid()
        got = os.read(file.fileno(), 4321)
        values = obj.globals
        truth = {
            "inode": os.fstat(file.fileno()).st_ino,
            "position": 700,
            "returned": len(got),
            "ek_hits": 2,
        }
    found = {key: values[key] for key in truth}
    assert found == truth, f"the programs see {found}, the reader {truth}"
    assert values["flags"] == flags & ~os.O_CLOEXEC, f"flags {values['flags']:#o}, fdinfo {flags:#o}"
    return found
