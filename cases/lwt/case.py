"""Packets that take a route run through its program; what it drops is refused to the sender."""

import socket
import struct
import subprocess
import time
from pathlib import Path

OK, DROP = 0, 2  # Linux include/uapi/linux/bpf.h: enum bpf_ret_code
PROGRAMS = {"on_input": "in", "on_output": "out", "on_xmit": "xmit"}
PREFIX, HOST, SEGMENT = "10.77.0.0/24", "10.77.0.9", "fd77::9"


def check(obj):
    """Run over packets of our own, then over real ones."""
    assert not obj.programs["on_segment"].attached
    for name in PROGRAMS:
        program = obj.programs[name]
        assert not program.attached, "it attaches to what a caller names only"
        verdicts = [program.test_run(bytes(size)).retval for size in (64, 65, 66)]
        assert verdicts == [OK, DROP, OK], f"{name}: verdicts {verdicts}"
    seen = {"on_segment": _segments(obj)}
    for name, counter in PROGRAMS.items():
        record = obj.programs[name].attach(f"{PREFIX} dev lo")
        assert record["status"] == "passed", f"{name}: {record['message']}"
        before = obj.globals[counter]
        refused = _refused()
        obj.programs[name].detach()
        seen[name] = obj.globals[counter] - before
        assert seen[name] == 4, f"{name}: {seen[name]} packets seen"
        assert refused == ([] if name == "on_input" else [1, 3]), f"{name}: of {refused} bytes were refused"
    try:
        _refused()
    except OSError:
        pass
    else:
        raise AssertionError("the route is still there")
    return seen


def _segments(obj):
    """Send packets that end a segment of their path here, by a pair of interfaces; what becomes of them is not ours."""
    before = {name for _, name in socket.if_nameindex()}
    subprocess.run(["ip", "link", "add", "ek0", "type", "veth"], check=True)
    (peer,) = {name for _, name in socket.if_nameindex()} - before - {"ek0"}
    _up("ek0", peer)
    record = obj.programs["on_segment"].attach(f"{SEGMENT} dev ek0")
    assert record["status"] == "passed", record["message"]
    here, other = (socket.inet_pton(socket.AF_INET6, address) for address in (SEGMENT, "fd77::1"))
    # struct ipv6_sr_hdr: next header (none), length, type 4, segments left, first segment, flags, tag, two segments
    routing = struct.pack("!BBBBBBH", 59, 4, 4, 1, 1, 0, 0) + other + here
    packet = struct.pack("!IHBB", 6 << 28, len(routing), 43, 64) + other + here + routing
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((peer, 0))
        for _ in range(4):
            sender.send(b"\xff" * 6 + bytes(6) + b"\x86\xdd" + packet)
        deadline = time.monotonic() + 5
        while obj.globals["segment"] < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
    obj.programs["on_segment"].detach()
    assert obj.globals["segment"] == 4, f"{obj.globals['segment']} packets seen"
    return 4


def _refused():
    """Send four datagrams by the route; return the lengths of those that were refused."""
    refused = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        for size in range(4):
            try:
                sender.sendto(bytes(size), (HOST, 7000))
            except PermissionError:
                refused.append(size)
    return refused


def _up(*names):
    """Bring interfaces up, and wait for the kernel to send by them: until its work queue comes to it, it drops all."""
    for name in names:
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
    while any(Path(f"/sys/class/net/{name}/operstate").read_text() != "up\n" for name in names):
        time.sleep(0.01)
    subprocess.run(["ip", "link", "set", names[0], "up"], check=True)  # waits for the lock that it is done under
