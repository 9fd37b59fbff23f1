"""A packet that no socket wants is counted by who asks the kernel for the number; who does not is told of."""

import os
import socket


def check(obj):
    """Send a datagram to a port of ours that nobody has open."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        obj.globals["ek_pid"] = os.getpid()
        for _ in range(8):
            try:
                sender.sendto(b"nobody listens", ("127.0.0.1", 9))
            except ConnectionRefusedError:  # the answer to the one before
                continue
        obj.globals["ek_pid"] = 0
    values = obj.globals
    assert values["asked_count"] > 0, "no packet was dropped for want of a socket"
    told = [m["program"] for m in obj.misreads]
    same = values["plain_count"] == values["asked_count"]
    assert told == ([] if same else ["plain"]), (
        f"{told}, and counted {values['plain_count']} of {values['asked_count']}"
    )
    return {"plain": values["plain_count"], "asked": values["asked_count"], "misreads": obj.misreads}
