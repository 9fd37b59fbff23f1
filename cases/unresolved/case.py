"""The program beside the three that are refused runs, and the records name what could not be resolved."""

import os


def check(obj):
    """Run the sound program, and look at the records of the others."""
    obj.globals["ek_pid"] = os.getpid()
    os.getpgid(0)
    assert obj.globals["ek_hits"] == 1
    poisoned = {record["program"]: record["access"] for record in obj.relocations if record["outcome"] == "poisoned"}
    assert set(poisoned) == {"missing_field", "missing_type", "missing_enumerator"}, f"poisoned: {poisoned}"
    return poisoned
