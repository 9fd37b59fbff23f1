"""Events come out of a perf event array from every processor, complete and none lost."""

import os

EACH = 20


def check(obj):
    """Call getpgid(2) on each processor and read the events of all."""
    cpus = sorted(os.sched_getaffinity(0))
    obj.globals["ek_pid"] = os.getpid()
    expected = []
    for cpu in cpus:
        os.sched_setaffinity(0, {cpu})
        for _ in range(EACH):
            number = len(expected)
            _getpgid(number)
            expected.append({"sequence": number, "argument": 100_000 + number, "cpu": cpu})
    os.sched_setaffinity(0, cpus)
    samples = obj.maps["events"].events(count=len(expected))
    events = sorted((obj.decode("event", sample) for sample in samples), key=lambda event: event["sequence"])
    assert events == expected, f"{len(events)} events: {events[:3]}… instead of {expected[:3]}…"
    assert obj.maps["events"].lost == 0
    return {"events": len(events), "processors": len(cpus)}


def _getpgid(number):
    try:
        os.getpgid(100_000 + number)
    except ProcessLookupError:
        return
    raise AssertionError(f"a process has the id {100_000 + number}")
