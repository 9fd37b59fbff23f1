"""The guard lets the helper be called exactly where the kernel takes a program that calls it unguarded."""

import time

CLOCK_MONOTONIC_COARSE = 6  # Linux include/uapi/linux/time.h
PACKET = bytes(64)


def check(obj):
    """Compare the guard's choice with the verdict on the unguarded program, and the helper's time with the system's."""
    taken = obj.programs["unguarded"].record["status"] == "passed"
    before = time.clock_gettime_ns(CLOCK_MONOTONIC_COARSE)
    obj.programs["guarded"].test_run(PACKET)
    if taken:
        obj.programs["unguarded"].test_run(PACKET)
    after = time.clock_gettime_ns(CLOCK_MONOTONIC_COARSE)
    values = obj.globals
    assert values["ek_hits"] == 1
    assert bool(values["exists"]) == taken, f"the guard says {values['exists']}, the verifier {taken}"
    for name in ("coarse", "unguarded_coarse"):
        if taken:
            assert before <= values[name] <= after, f"{name} is {values[name]}, the system's {before} to {after}"
        else:
            assert values[name] == 0
    return {"exists": taken, "coarse": values["coarse"]}
