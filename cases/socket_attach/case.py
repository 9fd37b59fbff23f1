"""A filter on a socket keeps what it should; datagrams reach the member of a group that their first byte names."""

import socket


def check(obj):
    """Attach to a pair of sockets, then to a group of three that share a port."""
    assert not any(program.attached for program in obj.programs.values()), "they attach to what a caller names only"
    return {"kept": _filtered(obj.programs["up_to_mark"]), "chosen": _chosen(obj)}


def _filtered(program):
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        other.setblocking(False)
        record = program.attach(f"fd:{other.fileno()}")
        assert record["status"] == "passed", record["message"]
        for payload in (b"ab#cdef", b"no mark", b"#x"):
            one.send(payload)
        program.detach()
        one.send(b"no mark again")
        kept = [other.recv(100) for _ in range(3)]
        assert kept == [b"ab#", b"#", b"no mark again"], f"received {kept}"
    return len(kept)


def _chosen(obj):
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    port = 0
    for index, s in enumerate(sockets):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.bind(("127.0.0.1", port))
        s.settimeout(5)
        port = s.getsockname()[1]
        obj.maps["group"].update(index, s.fileno())
    record = obj.programs["choose"].attach(f"fd:{sockets[0].fileno()}")
    assert record["status"] == "passed", record["message"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for index in (2, 0, 1, 2):
            sender.sendto(b"%d" % index, ("127.0.0.1", port))
            assert sockets[index].recv(10) == b"%d" % index
    obj.programs["choose"].detach()
    for s in sockets:
        s.close()
    return 4
