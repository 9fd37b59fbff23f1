"""The kernel lists the congestion control while a link holds it, and again when another does."""

import socket
from pathlib import Path


def check(obj):
    """Let it go and take it up again, each time with a socket that asks for it."""
    programs = obj.programs.values()
    assert all(program.attached for program in programs)
    for _ in range(2):
        assert "ek_linked" in _available()
        with socket.socket() as asking:
            asking.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"ek_linked")
        obj.detach()
        assert "ek_linked" not in _available(), "it is still there without its link"
        attached = [program.attach() for program in programs]
        assert all(record["status"] == "passed" for record in attached), attached
    return {"available": _available()}


def _available():
    return Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
