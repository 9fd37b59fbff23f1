"""What an XDP program drops on the loopback interface does not arrive, until it is detached."""

import socket


def check(obj):
    """Send datagrams, some of them marked, with the program and without."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        obj.globals["wanted_port"] = receiver.getsockname()[1]
        for payload in (b"one", b"#two", b"three", b"#four", b"last"):
            sender.sendto(payload, receiver.getsockname())
        got = []
        while not got or got[-1] != b"last":
            got.append(receiver.recv(100))
        assert got == [b"one", b"three", b"last"], f"received {got}"
        seen = (obj.globals["ek_hits"], obj.globals["dropped"])
        assert seen == (5, 2), f"{seen[0]} packets seen, {seen[1]} dropped"
        obj.detach()
        sender.sendto(b"#five", receiver.getsockname())
        assert receiver.recv(100) == b"#five"
    return {"seen": seen[0], "dropped": seen[1]}
