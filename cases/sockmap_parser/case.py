"""Messages are seen whole, however they were sent; what programs drop is never received."""

import socket
import time


def check(obj):
    """Send pieces of messages, then streams whose pieces are judged."""
    assert obj.programs["on_stream"].attach()["status"] == "skipped", "it attaches to what a caller names only"
    seen = {"lengths": _parsed(obj)}
    for name, sockets in (("on_receive", "received"), ("on_stream", "streamed")):
        seen[name] = _judged(obj, obj.programs[name], sockets)
    return seen


def _parsed(obj):
    for name in ("parse", "on_message"):
        record = obj.programs[name].attach("map:parsed")
        assert record["status"] == "passed", record["message"]
    client, peer = _pair()
    other, last = _pair()
    with client, peer, other, last:
        obj.maps["parsed"].update(0, peer.fileno())
        obj.maps["out"].update(0, other.fileno())
        for message in (b"\5abcd", b"\3xy", b"\1", b"\7uvwxyz"):
            for start in range(0, len(message), 2):
                client.send(message[start : start + 2])
            got = _receive(last, len(message))
            assert got == message, f"{got} instead of {message}"
    lengths = list(obj.globals["lengths"])
    assert lengths == [5, 3, 1, 7], f"messages of {lengths} bytes"
    return lengths


def _judged(obj, program, sockets):
    """Send a stream of three pieces; return how many of them the program judged."""
    if program.attach(f"map:{sockets}")["status"] != "passed":
        return 0
    obj.globals["ek_hits"] = 0
    client, peer = _pair()
    with client, peer:
        obj.maps[sockets].update(0, peer.fileno())
        client.send(b"one")
        assert _receive(peer, 3) == b"one"
        client.send(b"#two")
        deadline = time.monotonic() + 5
        while obj.globals["ek_hits"] < 2 and time.monotonic() < deadline:  # lest it arrives with what follows
            time.sleep(0.01)
        client.send(b"last")
        assert _receive(peer, 4) == b"last"
    assert obj.globals["ek_hits"] == 3, f"{obj.globals['ek_hits']} pieces judged"
    return 3


def _pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.settimeout(5)
    return client, peer


def _receive(s, size):
    got = b""
    while len(got) < size:
        try:
            piece = s.recv(100)
        except TimeoutError:
            piece = b""
        assert piece, f"no more came than {got}"
        got += piece
    return got
