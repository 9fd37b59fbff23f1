"""Run in a guest: what programs and maps are in the kernel, with a tool running (its argv follows) or as things stand.

A tool is looked at once it sleeps and nothing has changed for a while, or, after ``--until TEXT``, once it has printed
that.

Prints JSON: programs as [name, type, tag, bytes after verification, instructions verified, target's BTF id], maps as
[name, type, key size, value size, entries, flags, content of read-only data as hex]. The tag is the kernel's digest of
a program's instructions, map descriptors left out: equal tags are equal programs. Not one of the project's own modules
is used here.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

PROGRAM, MAP = (11, 13), (12, 14)  # BPF_*_GET_NEXT_ID, BPF_*_GET_FD_BY_ID
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attributes: bytearray) -> int:
    buffer = (ctypes.c_char * len(attributes)).from_buffer(attributes)
    return int(libc.syscall(321, command, ctypes.byref(buffer), len(attributes)))


def identifiers(commands: tuple[int, int]) -> list[int]:
    found: list[int] = []
    number = 0
    while True:
        attributes = bytearray(struct.pack("=III", number, 0, 0))
        if bpf(commands[0], attributes) < 0:
            return found
        number = struct.unpack_from("=I", attributes, 4)[0]
        found.append(number)


def info(commands: tuple[int, int], number: int) -> tuple[int, bytes]:
    """Open a program or map by its number and ask for its facts; a probe's may be gone since it was listed: OSError."""
    fd = bpf(commands[1], bytearray(struct.pack("=III", number, 0, 0)))
    if fd < 0:
        raise OSError(ctypes.get_errno(), f"number {number} is gone")
    data = bytearray(232)
    buffer = (ctypes.c_char * len(data)).from_buffer(data)
    bpf(15, bytearray(struct.pack("=IIQ", fd, len(data), ctypes.addressof(buffer))))
    return fd, bytes(data)


def text(data: bytes) -> str:
    return data.split(b"\0")[0].decode()


def program(number: int) -> list[Any]:
    fd, data = info(PROGRAM, number)
    os.close(fd)
    type_, _, tag, _, length = struct.unpack_from("=II8sII", data)
    verified, _, target = struct.unpack_from("=III", data, 216)
    return [text(data[64:80]), type_, tag.hex(), length, verified, target]


def map_(number: int) -> list[Any]:
    fd, data = info(MAP, number)
    type_, _, key, value, entries, flags = struct.unpack_from("=6I", data)
    name, content = text(data[24:40]), ""
    if name.endswith(".rodata"):
        index, room = ctypes.c_uint(0), ctypes.create_string_buffer(value)
        bpf(1, bytearray(struct.pack("=IIQQQ", fd, 0, ctypes.addressof(index), ctypes.addressof(room), 0)))
        content = room.raw.hex()
    os.close(fd)
    return [name, type_, key, value, entries, flags, content]


def held(describe: Callable[[int], list[Any]], numbers: Iterable[int]) -> list[list[Any]]:
    """Describe what is still there of some programs or maps, sorted."""
    found = []
    for number in numbers:
        with contextlib.suppress(OSError):
            found.append(describe(number))
    return sorted(found)


def seen() -> list[list[int]]:
    return [identifiers(PROGRAM), identifiers(MAP)]


def asleep(pid: int) -> bool:
    """Tell whether a process waits for something, as a tool does once it has loaded what it needs."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("S")


def follow(tool: subprocess.Popen[bytes], output: bytearray) -> threading.Thread:
    """Return a thread that takes in what a tool prints."""

    def read() -> None:
        assert tool.stdout is not None
        while data := os.read(tool.stdout.fileno(), 65536):
            output.extend(data)

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def main(argv: list[str]) -> None:
    until = b""
    if argv[:1] == ["--until"]:
        until, argv = argv[1].encode(), argv[2:]
    before: list[list[int]] = seen() if argv else [[], []]
    tool = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) if argv else None
    printed = bytearray()
    reader = follow(tool, printed) if tool is not None else None
    last, since, end = before, time.monotonic(), time.monotonic() + 60
    while tool is not None and tool.poll() is None and time.monotonic() < end:
        now = seen()
        if until and until in printed:
            break
        if until or now != last or now == before or not asleep(tool.pid):
            last, since = now, time.monotonic()
        elif time.monotonic() - since > 1.5:  # feature probes come and go; what stays is the tool's
            break
        time.sleep(0.1)
    found = seen()
    programs = held(program, (n for n in found[0] if n not in before[0]))
    maps = held(map_, (n for n in found[1] if n not in before[1]))
    output = ""
    if tool is not None and reader is not None:
        tool.terminate()
        tool.wait()
        reader.join()
        output = printed.decode(errors="replace")
    json.dump({"programs": programs, "maps": maps, "output": output}, sys.stdout)


main(sys.argv[1:])
