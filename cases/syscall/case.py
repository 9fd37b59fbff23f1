"""The map that a program makes is the caller's, with the sizes that it was asked for, until a program closes it."""

import struct
from pathlib import Path


def check(obj):
    """Have a map made, look at it where the kernel describes descriptors, and have it closed."""
    made = obj.programs["make_map"].test_run(context=struct.pack("=Ii", 5, -1))
    assert made.retval == 0, f"result {made.retval}"
    _, fd = struct.unpack("=Ii", made.context)
    lines = (line.split(":") for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines())
    facts = {name: value.strip() for name, value in lines}
    found = [int(facts[name]) for name in ("map_type", "key_size", "value_size", "max_entries")]
    assert found == [2, 4, 16, 5], f"type, sizes and entries {found}"
    closed = obj.programs["close_map"].test_run(context=made.context)
    assert closed.retval == 0, f"result {closed.retval}"
    assert not Path(f"/proc/self/fdinfo/{fd}").exists(), "it is still open"
    assert obj.globals["ek_hits"] == 2
    refused = obj.programs["make_map"].test_run(context=struct.pack("=Ii", 0, -1))
    assert refused.retval == 1, "a map without entries was made"
    return {"fd": fd}
