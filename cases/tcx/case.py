"""What traffic control programs count is what was sent; what they drop does not arrive."""

import socket


def check(obj):
    """Send datagrams, one of them marked."""
    attached = [name for name, program in obj.programs.items() if program.attached]
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        obj.globals["wanted_port"] = receiver.getsockname()[1]
        for payload in (b"one", b"#two", b"last"):
            sender.sendto(payload, receiver.getsockname())
        got = []
        while not got or got[-1] != b"last":
            got.append(receiver.recv(100))
    seen = (obj.globals["out"], obj.globals["in"])
    if attached:
        assert got == [b"one", b"last"], f"received {got}"
        assert seen == (3, 3), f"{seen[0]} packets out, {seen[1]} in"
    else:
        assert got == [b"one", b"#two", b"last"], f"received {got}"
        assert seen == (0, 0)
    return {"attached": attached, "received": len(got)}
