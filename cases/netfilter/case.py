"""Datagrams arrive or do not, as the program says."""

import socket


def check(obj):
    """Send one that is dropped and one that is not."""
    program = obj.programs["on_packet"]
    assert program.attach()["status"] == "skipped", "it attaches to a hook that a caller names only"
    record = program.attach("ipv4/local_in")
    assert record["status"] == "passed", record["message"]
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        for number, dropping in enumerate((1, 0)):
            obj.globals["dropping"] = dropping
            sender.sendto(b"%d" % number, receiver.getsockname())
        assert receiver.recv(10) == b"1"
    assert obj.globals["ek_hits"] == 2, f"{obj.globals['ek_hits']} packets seen"
    return {"hits": obj.globals["ek_hits"]}
