"""What is told of a read before it is run is what it reads: something else than the field, or the field."""

import os


def check(obj):
    """Be the current task, which is on a CPU, and compare both reads."""
    obj.globals["ek_pid"] = os.getpid()
    os.getpgid(0)
    obj.globals["ek_pid"] = 0
    values = obj.globals
    assert values["right_value"] == 1, f"on_cpu is {values['right_value']}"
    told = [m["program"] for m in obj.misreads]
    assert told == (["plain"] if values["plain_value"] != 1 else []), f"{told}, and it read {values['plain_value']}"
    return {"plain": values["plain_value"], "misreads": obj.misreads}
