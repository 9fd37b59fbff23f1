"""What a cgroup's programs count is what was sent and received; what they drop never arrives."""

import socket


def check(obj):
    """Send datagrams over the loopback interface from inside of the cgroup."""
    both_ways = obj.programs["both_ways"]
    assert not both_ways.attached, "it attaches to the way that a caller names only"
    for way in ("ingress", "egress"):
        record = both_ways.attach(way)
        assert record["status"] == "passed", record["message"]
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        obj.globals["wanted_port"] = receiver.getsockname()[1]
        sent = [b"a", b"#dropped", b"bcd", b"e" * 500]
        for payload in sent:
            try:
                sender.sendto(payload, receiver.getsockname())
            except PermissionError:
                assert payload.startswith(b"#"), f"{payload!r} was refused"
        got = []
        while len(got) < 4:
            try:
                got.append(receiver.recv(1000))
            except BlockingIOError:
                break
    assert got == [payload for payload in sent if not payload.startswith(b"#")], f"received {got}"
    values = obj.globals
    counted = [values[name] for name in ("packets_out", "bytes_out", "packets_in", "bytes_in")]
    assert counted == [4, sum(map(len, sent))] * 2, f"counted {counted}"
    assert values["packets_both"] == 8, f"{values['packets_both']} packets both ways"
    return {"counted": counted}
