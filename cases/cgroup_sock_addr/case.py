"""Whoever asks for the service reaches the real one, and is told that it is where it was asked for."""

import socket
from pathlib import Path

SERVICE = ("127.0.0.1", 7001)


def check(obj):
    """Connect, send, receive and bind under changed addresses; /proc/net tells the true ones."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        obj.globals["real_port"] = port
        with socket.create_connection(SERVICE) as client:
            peer, address = server.accept()
            peer.close()
            assert address == client.getsockname(), f"the server was reached from {address}"
            assert client.getpeername() == SERVICE, f"the peer is called {client.getpeername()}"
    assert obj.globals["ek_hits"] == 2, f"{obj.globals['ek_hits']} programs ran instead of 2"
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", port))
        receiver.settimeout(5)
        sender.settimeout(5)
        sender.sendto(b"question", SERVICE)
        question, address = receiver.recvfrom(100)
        assert question == b"question"
        receiver.sendto(b"answer", address)
        answer, address = sender.recvfrom(100)
        assert (answer, address) == (b"answer", SERVICE), f"{answer!r} came from {address}"
    assert obj.globals["ek_hits"] == 4, f"{obj.globals['ek_hits']} programs ran instead of 4"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 7002))
        ports = [
            int(line.split()[1].partition(":")[2], 16) for line in Path("/proc/net/udp").read_text().splitlines()[1:]
        ]
        assert 7003 in ports, f"bound to {ports}"
        assert 7002 not in ports
        assert bound.getsockname() == ("127.0.0.1", 7004), f"bound to {bound.getsockname()}"
    return {"port": port, "hits": obj.globals["ek_hits"]}
