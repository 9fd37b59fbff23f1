"""Events come out of a ring buffer in order, with the arguments of the system calls that caused them."""

import os


def check(obj):
    """Call getpgid(2) with known arguments and read the events; twice round the buffer."""
    obj.globals["ek_pid"] = os.getpid()
    seen = 0
    for start in range(0, 300, 60):  # 300 records of 24 bytes with their headers, in 4096
        for number in range(start, start + 60):
            _getpgid(number)
        expected = [{"sequence": n, "argument": 100_000 + n} for n in range(start, start + 60) if n % 3 != 2]
        events = [obj.decode("event", sample) for sample in obj.maps["events"].events(count=len(expected))]
        assert events == expected, f"{events[:3]}… instead of {expected[:3]}…"
        seen += len(events)
    assert obj.maps["events"].events(count=1, timeout=0.05) == []
    return {"events": seen}


def _getpgid(number):
    try:
        os.getpgid(100_000 + number)
    except ProcessLookupError:
        return
    raise AssertionError(f"a process has the id {100_000 + number}")
