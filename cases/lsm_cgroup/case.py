"""A security hook turns sockets of one kind away from a cgroup's processes; others, and the parent's, pass."""

import os
import socket


def check(obj):
    """Make sockets of both kinds, and of the forbidden one again when the program is gone."""
    values = obj.globals
    values["forbidden_type"] = socket.SOCK_DGRAM
    values["ek_pid"] = os.getpid()
    assert _made(socket.SOCK_STREAM)
    assert not _made(socket.SOCK_DGRAM), "a socket of the forbidden kind was made"
    assert values["ek_hits"] == 2, f"{values['ek_hits']} hits"
    obj.detach()
    assert _made(socket.SOCK_DGRAM)
    assert values["ek_hits"] == 2
    return {"hits": 2}


def _made(kind):
    try:
        socket.socket(socket.AF_INET, kind).close()
    except PermissionError:
        return False
    return True
