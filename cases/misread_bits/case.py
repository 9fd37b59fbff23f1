"""The lock that SO_SNDBUF sets is read as such by who adapts or guards; who reads the whole byte is told of."""

import os
import socket

SOCK_SNDBUF_LOCK = 1  # Linux include/net/sock.h


def check(obj):
    """Set the size of a socket's buffer, and listen."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        obj.globals["ek_pid"] = os.getpid()
        listener.listen()
        obj.globals["ek_pid"] = 0
    values = obj.globals
    assert values["right_value"] == SOCK_SNDBUF_LOCK, f"sk_userlocks is {values['right_value']}"
    assert values["guarded_value"] == SOCK_SNDBUF_LOCK, f"behind the guard, it is {values['guarded_value']}"
    told, wrong = [m["program"] for m in obj.misreads], values["plain_value"] != SOCK_SNDBUF_LOCK
    assert told == (["plain"] if wrong else []), f"{told}, and it read {values['plain_value']}"
    return {"plain": values["plain_value"], "misreads": obj.misreads}
