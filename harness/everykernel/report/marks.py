"""The marks of a matrix cell: one for each stage, readable without colour and, where need be, without Unicode."""

from __future__ import annotations

from dataclasses import dataclass

from everykernel import wire
from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult


@dataclass(frozen=True)
class Mark:
    """One mark.

    Attributes:
        symbol: where the terminal has Unicode.
        ascii: where it has not.
        meaning: for the legend.
        style: a rich style.
    """

    symbol: str
    ascii: str
    meaning: str
    style: str


PASSED = Mark("✓", "+", "passed", "green")
FAILED = Mark("✗", "X", "failed", "bold red")
EXPECTED = Mark("○", "o", "refused or failed, as the case expects", "yellow")
ERROR = Mark("‼", "E", "the guest or the harness broke", "bold magenta")
SKIPPED = Mark("–", "-", "skipped", "dim")  # noqa: RUF001 - a dash is meant
NOT_REACHED = Mark("·", ".", "not reached", "dim")
MISREAD = Mark("≠", "#", "loaded, and reads other bytes than its author meant", "yellow")
FLAKY = Mark("↻", "~", "came to its verdict when it was run again: before, its guest or the harness broke", "magenta")
REUSED = Mark("=", "=", "not run: nothing has changed since the run that found it", "dim")
WARNED = Mark("!", "!", "the kernel printed a warning", "yellow")

_OF_STATUS = {wire.PASSED: PASSED, wire.SKIPPED: SKIPPED, wire.NOT_REACHED: NOT_REACHED}


def of_stage(result: CaseResult, name: str) -> Mark:
    """Return the mark of one stage of a result."""
    stage: wire.Stage = result.get("stages", {}).get(name, {})
    status = stage.get("status", wire.NOT_REACHED)
    wrong = any(p.get("stage") == name for p in result.get("problems", []))
    if status == wire.FAILED and records.is_breakage(stage.get("code", "")):
        return EXPECTED if result.get("outcome") == records.PASSED else ERROR
    if wrong:
        return FAILED
    if status == wire.FAILED:
        return EXPECTED
    if status == wire.PASSED and any(p.get("status") == wire.FAILED for p in _deciding(stage)):
        return EXPECTED
    return _OF_STATUS.get(status, NOT_REACHED)


def _deciding(stage: wire.Stage) -> list[wire.ProgramRecord]:
    return [p for p in stage.get("programs", []) if p.get("decides", True)]


def of_result(result: CaseResult) -> list[Mark]:
    """Return the marks of a cell: three stages, and more: the guest broke between them, flaky and so on."""
    marks = [of_stage(result, name) for name in STAGES]
    if result.get("outcome") == records.ERROR and ERROR not in marks:
        marks.append(ERROR)
    if records.flaky(result):
        marks.append(FLAKY)
    if result.get("misreads"):
        marks.append(MISREAD)
    if result.get("warnings"):
        marks.append(WARNED)
    if "reused" in result:
        marks.append(REUSED)
    return marks


def expected_codes(result: CaseResult) -> list[tuple[str, str]]:
    """Return ``(stage, code)`` of what was refused in this cell as the case expects."""
    found = []
    for name in STAGES:
        if of_stage(result, name) is not EXPECTED:
            continue
        stage = result["stages"][name]
        if stage.get("code"):
            found.append((name, stage["code"]))
        else:
            found.extend((name, p.get("code", "")) for p in _deciding(stage) if p.get("status") == wire.FAILED)
    return list(dict.fromkeys(found))
