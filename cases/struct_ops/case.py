"""The kernel lists the congestion control while it is registered, and TCP connections that ask for it use it."""

import socket
import time
from pathlib import Path

NAME = "ek_plain"


def check(obj):
    """Connect through the loopback with it, and see it go with the last of its programs."""
    assert all(program.attached for program in obj.programs.values())
    assert NAME in _available()
    before = obj.globals["started"]
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, NAME.encode())
        client.connect(server.getsockname())
        used = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
        assert used == NAME, f"the connection uses {used}"
        accepted, _ = server.accept()
        with accepted:
            client.sendall(b"ping")
            assert accepted.recv(4) == b"ping"
        assert obj.globals["started"] == before + 1, f"{obj.globals['started']} connections started"
    deadline = time.monotonic() + 5  # a connection ends with its last acknowledgement, which close does not wait for
    while obj.globals["ended"] < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert obj.globals["ended"] >= 1
    first, *others = obj.programs.values()
    first.detach()
    assert NAME in _available(), "it is gone with the first of its programs"
    for program in others:
        program.detach()
    assert NAME not in _available(), "it is still there without its programs"
    return {"started": obj.globals["started"]}


def _available():
    return Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
