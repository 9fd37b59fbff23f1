"""The numbers and the text that Python's probes tell are what their caller gave and gets."""

import gc
import os
import sys


def check(obj):
    """Collect garbage that is counted, and raise an audit event."""
    values = obj.globals
    gc.disable()
    try:
        gc.collect()
        values["ek_pid"] = os.getpid()
        for number in (0, 1, 2):
            for _ in range(3 + number):
                knot = []
                knot.append(knot)
            del knot
            found = gc.collect(number)
            seen = values["generation"], values["collected"], values["arguments"]
            assert seen == (number, found, 1), f"saw {seen} of a collection of generation {number} with {found} found"
        assert values["ek_hits"] == 6, f"{values['ek_hits']} hits"
        if obj.programs["on_audit"].attached:
            values["wanted"] = b"ek.event"
            sys.audit("ek.event.of.the.case", 1)
            assert values["event"] == "ek.event.of.the", f"saw event {values['event']!r}"
        obj.detach()
        gc.collect()
        assert values["ek_hits"] == 6
    finally:
        gc.enable()
    return {"found": found}
