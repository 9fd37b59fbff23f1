"""Why a command could not be started, in words: the kernel gives an errno for many reasons.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import errno
import os
import struct

_PT_INTERP = 3
_HEAD = 4096  # bytes in which program headers, and a first line, are looked for


def explain(error: OSError, program: str, cwd: str) -> str:
    """Return what is missing, with what to do about it."""
    where = str(error.filename or program)
    said = f"{where}: {errno.errorcode.get(error.errno or 0, error.errno)}: {(error.strerror or '').lower()}"
    path = os.path.join(cwd, program) if "/" in program else ""
    if where == cwd or not path or not os.path.isfile(path):
        return said
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return said
    needed = interpreter(head)
    if error.errno == errno.ENOENT and needed and not os.path.exists(needed):
        return f"{program} needs {needed}, which the guest does not have [--push {needed}:{needed}]"
    if error.errno == errno.ENOEXEC:
        what = "is for another machine" if head.startswith(b"\x7fELF") else "is no program: it has no #! line"
        return f"{said} ({program} {what})"
    return said


def interpreter(head: bytes) -> str:
    """Return the interpreter that a script's or an ELF program's first bytes name, "" for none."""
    if head.startswith(b"#!"):
        words = head[2:].partition(b"\n")[0].split()
        return words[0].decode("utf-8", "replace") if words else ""
    if not head.startswith(b"\x7fELF") or len(head) < 64:
        return ""
    order = "<" if head[5] == 1 else ">"
    wide = head[4] == 2
    start = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)[0]
    size, count = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    for index in range(count):
        at = start + index * size
        if at + 56 > len(head) or struct.unpack_from(order + "I", head, at)[0] != _PT_INTERP:
            continue
        offset, length = (
            (struct.unpack_from(order + "Q", head, at + 8)[0], struct.unpack_from(order + "Q", head, at + 32)[0])
            if wide
            else (struct.unpack_from(order + "I", head, at + 4)[0], struct.unpack_from(order + "I", head, at + 16)[0])
        )
        return head[offset : offset + length].rstrip(b"\0").decode("utf-8", "replace")
    return ""
