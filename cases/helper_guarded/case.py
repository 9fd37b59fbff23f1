"""The guard lets the helper be called exactly where the kernel takes a program that calls it unguarded."""

import os
import time

CLOCK_MONOTONIC_COARSE = 6  # Linux include/uapi/linux/time.h


def check(obj):
    """Compare the guard's choice with the verdict on the unguarded program, and the helper's time with the system's."""
    taken = obj.programs["unguarded"].record["status"] == "passed"
    obj.globals["ek_pid"] = os.getpid()
    before = time.clock_gettime_ns(CLOCK_MONOTONIC_COARSE)
    os.getpgid(0)
    after = time.clock_gettime_ns(CLOCK_MONOTONIC_COARSE)
    values = obj.globals
    assert values["ek_hits"] == 1
    assert bool(values["exists"]) == taken, f"the guard says {values['exists']}, the verifier {taken}"
    if taken:
        for name in ("coarse", "unguarded_coarse"):
            assert before <= values[name] <= after, f"{name} is {values[name]}, the system's {before} to {after}"
    else:
        assert values["coarse"] == 0
    return {"exists": taken, "coarse": values["coarse"]}
