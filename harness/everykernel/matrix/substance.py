"""An object of which nothing was loaded has not passed, whatever its stages say.

That its programs are all optional (``?`` sections, ``may_fail``) makes no difference: a tool of which no program loads
does nothing. Three things are enough: a program that was loaded; maps, where the object has no programs; the case's own
word, an expectation of a refusal or a contract that loads none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from everykernel import wire
from everykernel.matrix.expect import Problem

_CHOOSE = ("programs", "skip", "variants")  # keys of a contract that may leave no program to load


def judge(load: wire.Stage, contract: Mapping[str, Any]) -> Problem | None:
    """Return what is wrong with a load stage that ended as expected, but loaded nothing; None if it loaded something.

    Args:
        load: the stage, judged.
        contract: the case's loader contract.
    """
    programs = load.get("programs", [])
    if "expected" in load or any(p.get("status") == wire.PASSED or "expected" in p for p in programs):
        return None
    refused = next((p for p in programs if p.get("status") == wire.FAILED), None)
    if refused is not None:
        count = f"none of its {len(programs)} programs was" if len(programs) > 1 else "its one program was not"
        label = refused.get("name", "")
        message = f"{count} loaded, optional or not: program {label!r}: {refused.get('message', '')}"
        return Problem("load", refused.get("code", ""), message, label)
    if any(p.get("status") == wire.NOT_REACHED for p in programs):
        return None  # relocate refused it, as the case expects
    if programs:
        return Problem("load", "assertion-failed", f"none of its programs was loaded: all {len(programs)} are skipped")
    if any(key in contract for key in _CHOOSE) or any(m.get("status") == wire.PASSED for m in load.get("maps", [])):
        return None
    return Problem("load", "object-unsupported", "nothing was loaded: the object has no program and no map")
