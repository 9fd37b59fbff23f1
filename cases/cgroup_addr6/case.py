"""Whoever asks for the service reaches the real one, and is told that it is where it was asked for."""

import socket
from pathlib import Path

SERVICE = ("::1", 7001)


def check(obj):
    """Connect, send, receive and bind under changed addresses; /proc/net tells the true ones."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        assert obj.globals["bound_port"] == port, f"the server was bound to {obj.globals['bound_port']}"
        obj.globals["real_port"] = port
        with socket.create_connection(SERVICE) as client:
            peer, address = server.accept()
            peer.close()
            assert address == client.getsockname(), f"the server was reached from {address}"
            assert client.getpeername()[:2] == SERVICE, f"the peer is called {client.getpeername()}"
    assert obj.globals["ek_hits"] == 2, f"{obj.globals['ek_hits']} programs ran instead of 2"
    with _datagrams() as receiver, _datagrams() as sender:
        receiver.bind(("::1", port))
        sender.sendto(b"question", SERVICE)
        question, address = receiver.recvfrom(100)
        assert question == b"question"
        receiver.sendto(b"answer", address)
        answer, address = sender.recvfrom(100)
        assert (answer, address[:2]) == (b"answer", SERVICE), f"{answer!r} came from {address}"
    assert obj.globals["ek_hits"] == 4, f"{obj.globals['ek_hits']} programs ran instead of 4"
    obj.globals["forbidden_port"] = 7777
    with _datagrams() as bound, _datagrams() as unbound:
        bound.bind(("::1", 7002))
        lines = Path("/proc/net/udp6").read_text().splitlines()[1:]
        ports = [int(line.split()[1].partition(":")[2], 16) for line in lines]
        assert 7003 in ports, f"bound to {ports}"
        assert 7002 not in ports
        assert obj.globals["bound_port"] == 7003
        assert bound.getsockname()[:2] == ("::1", 7004), f"bound to {bound.getsockname()}"
        try:
            unbound.bind(("::1", 7777))
        except PermissionError:
            pass
        else:
            raise AssertionError("the forbidden port was bound")
    return {"port": port, "hits": obj.globals["ek_hits"]}


def _datagrams():
    found = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    found.settimeout(5)
    return found
