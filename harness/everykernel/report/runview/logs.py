"""A verifier's log folded: what led there, the C line and the instructions that failed, and what the verifier said."""

from __future__ import annotations

import re
from typing import Any

from everykernel import escaping
from everykernel.report import diagnosis

_INSTRUCTION = re.compile(r"\d+: \([0-9a-f]{2}\)")
_STATE = re.compile(r"\s*(?:\d+:|from \d+ to \d+:)?\s*R\d+\w*=|last_idx |regs=|parent |\s*$")
_COUNTS = re.compile(
    r"processed (\d+) insns\b.*?(?:total_states (\d+))?(?: peak_states (\d+))?(?: mark_read \d+)?$", re.M
)
_IDLE = re.compile(r"processed \d+ insns\b|verification time |stack depth ")
_NEAR = 10  # lines up to the failing instruction that stand open
_KEPT = 48 << 10  # characters of a log that are kept, from its end


def folded(log: str, message: str, source: str) -> dict[str, Any]:
    """Return a log in parts, each line printable.

    ``before`` is what led there, ``near`` the last lines up to the failing instruction, ``said`` what the verifier said
    of it, ``end`` its counts, ``report`` what Linux 7.3 reports on it, ``line`` the C line, ``at`` its place, and
    ``left`` how many lines are left out before all that.
    """
    told, report = diagnosis.split(log)
    kept = told[-_KEPT:]
    left = told[: len(told) - len(kept)].count("\n")
    every = escaping.lines(kept.rstrip())
    if left:
        every = every[1:]  # the rest of a line
        left += 1
    last = max((n for n, text in enumerate(every) if _INSTRUCTION.match(text)), default=-1)
    tail = every[last + 1 :]
    said = [text for text in tail if not _IDLE.match(text) and not _STATE.match(text)]
    comment = max((n for n, text in enumerate(every[: last + 1]) if text.startswith("; ")), default=-1)
    start = max(0, last + 1 - _NEAR, comment if last - comment < _NEAR else 0)
    found = re.search(r" at \S+:\d+: (.*)$", message, re.S)
    line = found[1] if found else every[comment][2:] if comment >= 0 else ""
    return {
        "before": "\n".join(every[:start]),
        "near": every[start : last + 1],
        "said": said,
        "end": [text for text in tail if _IDLE.match(text)],
        "report": [escaping.printable(text) for text in report.lines()] if report else [],
        "line": escaping.printable(line),
        "at": escaping.printable(source),
        "left": left,
    }


def states(log: str) -> int | None:
    """Return how many states the verifier had, by the last line of its log; None where it does not say."""
    found = [counts[2] for counts in _COUNTS.finditer(log[-2000:])]
    return int(found[-1]) if found and found[-1] else None
