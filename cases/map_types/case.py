"""Maps hold for one side what the other put into them, in the order and under the rules of their type."""

import socket

XDP_REDIRECT = 4  # Linux include/uapi/linux/bpf.h
COUNTERS = ("hash", "hash_of_processors", "recent", "recent_of_processors", "array", "array_of_processors")


def check(obj):
    """Fill, run, read."""
    maps, values = obj.maps, obj.globals
    loopback = socket.if_nametoindex("lo")
    for name in COUNTERS:
        many = name.endswith("processors")
        maps[name].update(7, [2] * len(_zeroes(maps["array_of_processors"])) if many else 2)
    for length, address, number in ((8, [10, 0, 0, 0], 8), (16, [10, 1, 0, 0], 16), (24, [10, 1, 2, 0], 24)):
        maps["prefixes"].update({"length": length, "address": address}, number)
    maps["first"].update(0, 1111)
    maps["second"].update(0, 2222)
    maps["devices"].update(0, loopback)
    maps["hashed_devices"].update(5, loopback)
    values["address"] = [10, 1, 9, 9]
    ran = obj.programs["use"].test_run(bytes(64))
    assert ran.retval == 29, f"the tail call's program returned {ran.retval}"
    for name in COUNTERS:
        found = maps[name].lookup(7)
        total = sum(found) - 2 * (len(found) - 1) if isinstance(found, list) else found
        assert total == 42, f"{name}: {found}"
    assert values["longest"] == 16, f"prefix of {values['longest']} bits"
    assert list(values["popped"]) == [1, 2, 4, 3], f"popped {values['popped']}"
    assert list(values["inner_values"]) == [1111, 2222], f"inner maps hold {values['inner_values']}"
    redirects = list(values["redirects"])
    assert redirects == [XDP_REDIRECT, 0, XDP_REDIRECT, 0], f"redirects {redirects}"
    return {"maps": len(maps)}


def _zeroes(made):
    return made.lookup(0)
