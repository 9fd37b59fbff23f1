"""Each program is attached, does what it is for, and is taken away again, by whatever way this kernel has."""

import ctypes
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

PID, KPROBE, KRETPROBE, TRACEPOINT, UPROBE, XDP, CGROUP, CLASSIFIER, READ = range(9)
TARGETS = {"on_ingress": "lo/ingress"}
TEXT = b"EVERYKERNEL reads this"


def act() -> None:
    """Read a file into a marked buffer, ask for a process group, call labs(), send a packet to this machine."""
    libc = ctypes.CDLL(None)
    buffer = ctypes.create_string_buffer(b"before", 4400)
    with tempfile.TemporaryFile() as file:
        os.write(file.fileno(), TEXT)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        assert libc.read(file.fileno(), buffer, 4321) == len(TEXT)
    os.getpgid(0)
    libc.labs(-7)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        sender.sendto(b"one", receiver.getsockname())
        assert receiver.recv(100) == b"one"


def check(obj: Any) -> object:
    """Attach all, act, and count; detach all, act again, and count no more."""
    counts = obj.maps["counts"]
    for program in obj.programs.values():
        record = program.attach(TARGETS.get(program.name, ""))
        assert record["status"] == "passed", f"{program.name}: {record['message']}"
    counts.update(PID, os.getpid())
    act()
    seen = [counts.lookup(slot) for slot in range(KPROBE, READ)]
    assert seen[:4] == [1, 1, 1, 1], seen
    assert all(seen[4:]), seen
    first = counts.lookup(READ).to_bytes(8, "little")
    assert first == b"before\0\0", first
    samples = obj.maps["events"].events(1, 2.0)
    assert [sample[:4] for sample in samples] == [b"\x34\x12\0\0"], samples
    obj.detach()
    act()
    assert [counts.lookup(slot) for slot in range(KPROBE, READ)] == seen
    left = [Path(f"/sys/kernel/tracing/{kind}_events").read_text() for kind in ("kprobe", "uprobe")]
    assert left == ["", ""], left
    runs = {program.name: program.use["runs"] for program in obj.programs.values()}
    assert all(count is None or count > 0 for count in runs.values()), runs
    return {"seen": seen, "runs": runs, "cpus": counts.items()[0][0]}
