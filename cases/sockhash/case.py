"""A message arrives at the socket that its first bytes name, and nowhere if they name none."""

import socket


def check(obj):
    """Two connections, one message led from the first to the second."""
    sockets = obj.maps["sockets"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        record = obj.programs["on_message"].attach("map:sockets")
        assert record["status"] == "passed", record["message"]
        ends = []
        for _ in range(2):
            ends += [socket.create_connection(server.getsockname()), server.accept()[0]]
        one, other, _, fourth = ends
        for s in ends:
            s.settimeout(5)
        sockets.update(b"from", one.fileno())
        sockets.update(b"last", fourth.fileno())
        one.send(b"last but not least")
        assert fourth.recv(100) == b"last but not least"
        one.send(b"hi")
        assert other.recv(100) == b"hi", "too short to be led elsewhere"
        try:
            one.send(b"none of these")
        except PermissionError:
            pass
        else:
            raise AssertionError("a message was sent to a socket that is not there")
        for s in ends:
            s.close()
    assert obj.globals["ek_hits"] == 3, f"{obj.globals['ek_hits']} messages judged"
    return {"hits": obj.globals["ek_hits"]}
