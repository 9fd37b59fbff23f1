"""Each guarded access is poisoned, and the program runs past it."""

import os


def check(obj):
    """Run the program, and look at what its guards chose and at its records."""
    obj.globals["ek_pid"] = os.getpid()
    os.getpgid(0)
    values = obj.globals
    assert values["ek_hits"] == 1
    assert [values[name] for name in ("field_value", "type_value", "enumerator_value")] == [0, 0, 0]
    poisoned = sorted(record["access"] for record in obj.relocations if record["outcome"] == "poisoned")
    assert len(poisoned) == 3, f"poisoned: {poisoned}"
    return poisoned
