"""Samples arrive once, in order, around the buffer's end; a full buffer takes no more."""

import struct


def check(obj):
    """Send more than the buffer holds, a part at a time."""
    commands, values = obj.maps["commands"], obj.globals
    drain = obj.programs["drain"]
    numbers = iter(range(1, 1000))
    sent = []
    for count in (1, 100, 60, 128):
        part = [(next(numbers), 3 + count) for _ in range(count)]
        assert commands.send([struct.pack("=QI4x", *command) for command in part]) == count
        assert drain.test_run(bytes(64)).retval == count, f"{values['drained']} drained"
        sent += part
    assert values["order_kept"], "not in the order in which they were sent"
    assert values["sum"] == sum(number * factor for number, factor in sent), f"the sum is {values['sum']}"
    room = commands.send([bytes(16)] * 1000)
    assert room == 4096 // (16 + 8), f"{room} samples fit into a page"
    assert commands.send([b""]) == 1, "8 + 8 bytes are left"
    assert commands.send([b"", b""]) == 1
    return {"sent": len(sent), "room": room}
