"""As many system calls are seen as are made, and those that are forbidden fail."""

import socket


def check(obj):
    """Connect, send, receive and ask for names, first allowed, then forbidden."""
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
    ):
        server.bind("\0everykernel-stream")
        server.listen()
        receiver.bind("\0everykernel-datagrams")
        sender.bind("\0everykernel-sender")
        before = list(obj.globals["seen"])
        for payload in (b"one", b"two"):
            sender.sendto(payload, "\0everykernel-datagrams")
            assert receiver.recvfrom(10) == (payload, b"\0everykernel-sender")
        _connect()
        obj.globals["forbidding"] = 1
        assert _refused(lambda: sender.sendto(b"three", "\0everykernel-datagrams")), "a forbidden datagram was sent"
        assert _refused(_connect), "a forbidden connection was made"
    seen = [now - then for now, then in zip(obj.globals["seen"], before, strict=True)]
    assert seen == [2, 3, 2, 2, 3], f"seen {seen}"
    return {"seen": seen}


def _connect():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.bind("\0everykernel-client")
        client.connect("\0everykernel-stream")
        assert [client.getpeername() for _ in range(2)] == [b"\0everykernel-stream"] * 2
        assert [client.getsockname() for _ in range(3)] == [b"\0everykernel-client"] * 3


def _refused(action):
    try:
        action()
    except PermissionError:
        return True
    return False
