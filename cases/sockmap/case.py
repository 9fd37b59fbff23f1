"""Marked messages are refused at the sender; what one socket receives leaves by another."""

import socket


def _pair(server):
    client = socket.create_connection(server.getsockname())
    peer, _ = server.accept()
    for s in (client, peer):
        s.settimeout(5)
    return client, peer


def check(obj):
    """Attach to the map, put sockets into it, send."""
    sockets = obj.maps["sockets"]
    assert not any(program.attached for program in obj.programs.values()), "they attach to what a caller names only"
    with socket.create_server(("127.0.0.1", 0)) as server:
        record = obj.programs["on_message"].attach("map:sockets")
        assert record["status"] == "passed", record["message"]
        client, peer = _pair(server)
        sockets.update(0, client.fileno())
        client.send(b"first")
        assert peer.recv(100) == b"first"
        try:
            client.send(b"#second")
        except PermissionError:
            pass
        else:
            raise AssertionError("a marked message was sent")
        assert obj.globals["ek_hits"] == 2, f"{obj.globals['ek_hits']} messages judged"
        client.close()
        peer.close()
        obj.programs["on_message"].detach()
        record = obj.programs["on_stream"].attach("map:sockets")
        assert record["status"] == "passed", record["message"]
        first, one = _pair(server)
        other, last = _pair(server)
        sockets.update(0, one.fileno())
        sockets.update(1, other.fileno())
        first.send(b"led elsewhere")
        assert last.recv(100) == b"led elsewhere"
        for s in (first, one, other, last):
            s.close()
    return {"hits": obj.globals["ek_hits"]}
