"""The report that Linux 7.3 and later write behind the verifier's own words: the kernel's reason, the path that led
there, and what it suggests.

Source: what 7.3 prints for programs that it refuses; a part that a report lacks is left out.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_BEGINS = "\nVerification failed: "
_PLACE = re.compile(r"  \S+ @ (\S+:\d+):\d+$")
_NOTE = re.compile(r"\s+\| +\^-- (.*)$")
_MORE = re.compile(r" +\| {5,}(\S.*)$")
_STEPS = 3  # of the path that are shown: the last


class Diagnosis(NamedTuple):
    """What the kernel reports.

    Attributes:
        reason: why the program cannot be proved safe.
        path: what happened on the way there, each step with its place: ``a.bpf.c:5: update: R0 changed from …``.
        suggestion: what the kernel suggests.
    """

    reason: str
    path: tuple[str, ...]
    suggestion: str

    def lines(self, steps: int = _STEPS) -> list[str]:
        """Return the report in a few lines, with the last ``steps`` of the path."""
        found = [f"why: {self.reason}"] if self.reason else []
        found += [f"path: {step}" for step in self.path[-steps:]]
        return [*found, f"try: {self.suggestion}"] if self.suggestion else found


def split(log: str) -> tuple[str, Diagnosis | None]:
    """Return a verifier's log up to the kernel's report, and the report; None where there is none."""
    before, found, report = log.rpartition(_BEGINS)
    if not found:
        return log, None
    parts: dict[str, list[str]] = {}
    part: list[str] = []
    for line in report.split("\n"):
        if line.endswith(":") and not line.startswith(" "):
            part = parts.setdefault(line, [])
        elif line.startswith(" "):
            part.append(line)
        elif line:
            part = []  # the verifier's own words again
    told = Diagnosis(_sentence(parts, "Reason:"), tuple(_steps(parts)), _sentence(parts, "Suggestion:"))
    return before, told if told.reason or told.suggestion else None


def _sentence(parts: dict[str, list[str]], name: str) -> str:
    return " ".join(line.strip() for line in parts.get(name, []))


def _steps(parts: dict[str, list[str]]) -> list[str]:
    """Return the steps of the causal path, each in one line."""
    found: list[str] = []
    place, noted = "", False
    for line in parts.get("Causal path:", []):
        at, note, more = _PLACE.match(line), _NOTE.match(line), _MORE.match(line)
        if at:
            place = at[1]
        elif note:
            found.append(f"{place}: {note[1]}")
        elif more and noted:
            found[-1] += f" {more[1]}"
        noted = bool(note or (more and noted))
    return found
