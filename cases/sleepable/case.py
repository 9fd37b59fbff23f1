"""Programs that may sleep read pages that were not in memory, and what else they see and do is so."""

import contextlib
import ctypes
import mmap
import os
import sys
import tempfile
from pathlib import Path

WORD = 0x1122334455667788
PROGRAMS = (
    "on_fentry", "on_fexit", "on_fmod_ret", "on_lsm", "on_iter",
    "on_uprobe", "on_uretprobe", "on_uprobe_multi", "on_uretprobe_multi", "on_uprobe_session",
)  # fmt: skip


def check(obj):
    """Reach each program that is attached, with a page of its own."""
    attached = {name: obj.programs[name].attached for name in PROGRAMS}
    values = obj.globals
    tested = obj.programs["tested"]
    with tempfile.TemporaryFile() as file, contextlib.ExitStack() as stack:
        file.write(WORD.to_bytes(8, sys.byteorder) + bytes(mmap.PAGESIZE - 8))
        file.flush()
        pages = [stack.enter_context(_Page(file.fileno())) for _ in PROGRAMS]
        values["pages"] = pages
        values["ek_pid"] = os.getpid()
        ctypes.CDLL(None).labs(1)
        Path("/dev/null").read_bytes()
        if attached["on_iter"]:
            obj.programs["on_iter"].read()
        if tested.record["status"] == "passed":
            tested.test_run()
    words = dict(zip(PROGRAMS, values["words"], strict=True))
    assert words == {name: WORD if there else 0 for name, there in attached.items()}, words
    if attached["on_fentry"]:
        assert (values["argument"], values["result"]) == (1, 2), (values["argument"], values["result"])
    if attached["on_fmod_ret"]:
        values["changed_result"] = 3
        message = ""
        try:
            tested.test_run()
        except Exception as e:
            message = str(e)
        assert "EFAULT" in message, f"the test run, which expects 2 of that function, ended with {message!r}"
    return {"attached": [name for name, there in attached.items() if there]}


class _Page:
    """The address of a fresh page of a file, until it is unmapped; alone in its mapping, so that no other brings it."""

    def __init__(self, fd):
        self._map = mmap.mmap(fd, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE)

    def __enter__(self):
        self._first = ctypes.c_char.from_buffer(self._map)
        return ctypes.addressof(self._first)

    def __exit__(self, *error):
        del self._first
        self._map.close()
