"""A client that connected to a listener that went is accepted by the other, and can be talked to."""

import socket


def check(obj):
    """Connect twice, close the listener, accept at the other."""
    first, second = _listener(0), None
    port = first.getsockname()[1]
    second = _listener(port)
    for number, s in enumerate((first, second)):
        obj.maps["listeners"].update(number, s.fileno())
    record = obj.programs["choose"].attach(f"fd:{second.fileno()}")
    assert record["status"] == "passed", record["message"]
    clients = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(2)]
    assert (obj.globals["made"], obj.globals["moved"]) == (2, 0)
    second.setblocking(False)
    try:
        second.accept()
    except BlockingIOError:
        pass
    else:
        raise AssertionError("the second listener got a connection that was made to the first")
    first.close()
    second.settimeout(5)
    accepted = {}
    for _ in clients:
        peer, address = second.accept()
        accepted[address] = peer
    assert set(accepted) == {client.getsockname() for client in clients}, f"accepted {list(accepted)}"
    for client in clients:
        accepted[client.getsockname()].send(b"hello")
        assert client.recv(10) == b"hello"
    assert obj.globals["moved"] == 2, f"{obj.globals['moved']} connections moved"
    for s in (second, *clients, *accepted.values()):
        s.close()
    return {"moved": 2}


def _listener(port):
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind(("127.0.0.1", port))
    found.listen()
    return found
