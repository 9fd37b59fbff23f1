"""A datagram arrives as long as no program that it passes drops it; each sees what those before it let go on."""

import socket

NAMED = {"classify": "lo/egress", "also_classify": "lo/ingress", "act": "lo/ingress"}


def check(obj):
    """Send datagrams that each program drops, and one that none does."""
    attached = sorted(name for name, program in obj.programs.items() if program.attached)
    assert attached == ["incoming", "outgoing"], f"{attached} attach to the loopback interface by themselves"
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        obj.globals["wanted_port"] = receiver.getsockname()[1]
        assert _received(sender, receiver) == [2, 3, 4, 9]
        before = list(obj.globals["seen"])
        assert before == [6, 5, 0, 0, 0], f"before the filters, programs saw {before}"
        for name, target in NAMED.items():
            record = obj.programs[name].attach(target)
            assert record["status"] == "passed", f"{name}: {record['message']}"
        got = _received(sender, receiver)
        seen = [now - then for now, then in zip(obj.globals["seen"], before, strict=True)]
        assert got == [9], f"{got} arrived, programs saw {seen}"
        outgoing, incoming, classify, *others = seen
        assert sorted([outgoing, classify]) == [5, 6], f"on the way out, programs saw {seen}"
        assert sorted([incoming, *others]) == [2, 3, 4], f"on the way in, programs saw {seen}"
        obj.detach()
        assert _received(sender, receiver) == [0, 1, 2, 3, 4, 9]
    return {"seen": seen}


def _received(sender, receiver):
    """Send a datagram for each program to drop, and a last one; return what arrives."""
    for first in (*range(5), 9):
        sender.sendto(b"%d" % first, receiver.getsockname())
    got = []
    while not got or got[-1] != 9:
        got.append(int(receiver.recv(10)))
    return got
