"""Expectations: what a case says that a kernel will do, compared with what it did, wrong in either direction.

An expectation is data next to the case. The first one whose filters match speaks for a stage, or for one program of a
stage; without any, a stage and its deciding programs are expected to pass, and nothing but `passed` is a pass.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from everykernel import wire
from everykernel.loaders.names import OWN
from everykernel.matrix.ranges import KernelRange, Numbers

STAGES = ("relocate", "load", "run")
_TOLD = 20  # names that a note tells; the records have them all
STATUSES = (wire.PASSED, wire.FAILED, wire.SKIPPED, wire.NOT_REACHED)


@dataclass(frozen=True)
class Expectation:
    """One ``[[expect]]`` of a case; an empty filter matches everything.

    Attributes:
        stage: the stage it speaks of.
        status: what that stage, or ``program`` in it, is expected to be.
        code: the reason code it is expected to have ("" for any).
        kernels: releases for which it holds.
        arch: architecture for which it holds.
        btf: BTF in use for which it holds: any of ``kernel``, ``none``, ``supplied``.
        program: the program it speaks of, "" for the stage as a whole.
        reason: why, for people.
        loaders: who has to load for it to hold; empty: our own loader alone.
    """

    stage: str
    status: str
    code: str = ""
    kernels: KernelRange = field(default_factory=KernelRange)
    arch: str = ""
    btf: tuple[str, ...] = ()
    program: str = ""
    reason: str = ""
    loaders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conditions:
    """What the filters of expectations are compared with.

    Attributes:
        release: the kernel's release numbers.
        arch: our name of its architecture.
        btf: the BTF in use: ``kernel``, ``module:NAME``, ``supplied:FILE`` or ``none``.
        loader: who loads.
    """

    release: Numbers
    arch: str
    btf: str
    loader: str = OWN


@dataclass(frozen=True)
class Problem:
    """One thing that a case did not expect.

    Attributes:
        stage: where.
        code: reason code.
        message: one line for people.
        program: the program that it concerns, "" for the stage.
    """

    stage: str
    code: str
    message: str
    program: str = ""


def find(
    expectations: Sequence[Expectation], conditions: Conditions, stage: str, program: str = ""
) -> Expectation | None:
    """Return the first expectation that speaks for a stage, or for a program of it, under these conditions."""
    for entry in expectations:
        if (
            entry.stage == stage
            and entry.program == program
            and entry.arch in ("", conditions.arch)
            and (not entry.btf or conditions.btf.partition(":")[0] in entry.btf)
            and conditions.loader in (entry.loaders or (OWN,))
            and entry.kernels.holds(conditions.release)
        ):
            return entry
    return None


def judge(
    name: str,
    stage: wire.Stage,
    expectations: Sequence[Expectation],
    conditions: Conditions,
    *,
    excused: bool = False,
    refused_before: Collection[str] = (),
) -> list[Problem]:
    """Compare a stage that ended with what is expected of it, and return what is wrong.

    The stage's record is annotated: ``expected`` on the stage or program that an expectation speaks for. A stage that
    failed for what programs are expected to fail for, and for nothing else, becomes ``passed``, with a note.

    Args:
        name: the stage's.
        stage: its record.
        expectations: the case's.
        conditions: what their filters are compared with.
        excused: whether it need not have been reached: a stage before it ended otherwise, as the case expects, or
            the user asked for no more.
        refused_before: programs that a stage before it refused, so that they need not be reached in it.
    """
    entry = find(expectations, conditions, name)
    judged = _Programs(name, expectations, conditions, refused_before, whole=entry is not None)
    problems, refused = judged.judge(stage)
    status, code, message = stage.get("status", ""), stage.get("code", ""), stage.get("message", "")
    if entry is not None:
        stage["expected"] = _annotation(entry)  # type: ignore[typeddict-unknown-key]
        wrong = _difference(entry, status, code, message, name)
        return problems + ([Problem(name, wrong[0], wrong[1])] if wrong else [])
    if status != wire.FAILED:
        problems.extend(_maps(name, stage))
        if status == wire.PASSED or problems or (excused and status in (wire.SKIPPED, wire.NOT_REACHED)):
            return problems
        return [Problem(name, *_no_pass(name, status, code, message))]
    maps = any(m.get("status") == wire.FAILED for m in stage.get("maps", []))
    if code in refused.values() and not problems and not maps:
        stage["status"], stage["code"], stage["message"] = wire.PASSED, "", ""
        told = [f"{p} ({code})" for p, code in refused.items()]
        more = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
        stage["notes"] = [*stage.get("notes", []), f"refused, as the case expects: {', '.join(told[:_TOLD])}{more}"]
        return []
    if problems:
        return problems
    return [Problem(name, code, message)]


class _Programs:
    """Judges each program of a stage.

    ``whole``: an expectation speaks for the stage as a whole, so a failed program without one is no problem.
    """

    def __init__(
        self,
        name: str,
        expectations: Sequence[Expectation],
        conditions: Conditions,
        refused_before: Collection[str],
        *,
        whole: bool,
    ) -> None:
        self.name = name
        self.expectations = expectations
        self.conditions = conditions
        self.refused_before = refused_before
        self.whole = whole

    def judge(self, stage: wire.Stage) -> tuple[list[Problem], dict[str, str]]:
        """Return problems, and the codes of programs that failed as expected, by name."""
        problems: list[Problem] = []
        refused: dict[str, str] = {}
        seen = set()
        for program in stage.get("programs", []):
            label = program.get("name", "")
            seen.add(label)
            status, code = program.get("status", ""), program.get("code", "")
            entry = find(self.expectations, self.conditions, self.name, label)
            if entry is not None:
                program["expected"] = _annotation(entry)  # type: ignore[typeddict-unknown-key]
                what = f"program {label!r}: {self.name}"
                wrong = _difference(entry, status, code, program.get("message", ""), what)
                if wrong:
                    problems.append(Problem(self.name, *wrong, program=label))
                elif status == wire.FAILED:
                    refused[label] = code
            elif not self.whole:
                problems.extend(self._unexpected(program, label))
        if stage.get("status") != wire.NOT_REACHED:
            problems.extend(_absent(self.name, self.expectations, self.conditions, seen))
        return problems, refused

    def _unexpected(self, program: wire.ProgramRecord, label: str) -> list[Problem]:
        """Return what is wrong with a program that nothing is expected of but to pass."""
        status, code, message = program.get("status", ""), program.get("code", ""), program.get("message", "")
        if status == wire.PASSED or (status in STATUSES and not program.get("decides", True)):
            return []
        if status == wire.FAILED:
            return [Problem(self.name, code, f"program {label!r}: {message}", program=label)]
        if status == wire.SKIPPED or (
            status == wire.NOT_REACHED and (self.name == "run" or label in self.refused_before)
        ):
            return []
        wrong = _no_pass(f"program {label!r}", status, code, message)
        return [Problem(self.name, *wrong, program=label)]


def _maps(name: str, stage: wire.Stage) -> list[Problem]:
    """Return a problem for each map that is not what maps are in a stage that did not fail: created, or left out."""
    found = []
    for record in stage.get("maps", []):
        status, code, message = record.get("status", ""), record.get("code", ""), record.get("message", "")
        if status == wire.FAILED:
            found.append(Problem(name, code, message))
        elif status not in (wire.PASSED, wire.SKIPPED):
            found.append(Problem(name, *_no_pass(f"map {record.get('name', '')!r}", status, code, message)))
    return found


def _no_pass(what: str, status: Any, code: str, message: str) -> tuple[str, str]:
    """Return reason code and message of what did not fail and did not pass either."""
    if status not in STATUSES:
        return "guest-lost", f"{what} has status {status!r}, which is none"
    return code or "assertion-failed", f"{what} is {status}, and nothing says why{': ' if message else ''}{message}"


def _absent(name: str, expectations: Sequence[Expectation], conditions: Conditions, seen: set[str]) -> list[Problem]:
    """Return a problem for each program of which something is expected and that the stage does not have."""
    wanted = {e.program for e in expectations if e.stage == name and e.program} - seen
    return [
        Problem(name, "assertion-failed", f"expected program {p!r} to be {entry.status}, and the object has none", p)
        for p in sorted(wanted)
        if (entry := find(expectations, conditions, name, p)) is not None
    ]


def _difference(entry: Expectation, status: str, code: str, message: str, what: str) -> tuple[str, str] | None:
    """Return reason code and message where a verdict is not what was expected, None where it is."""
    if status == entry.status and entry.code in ("", code):
        return None
    wanted = f"{entry.status} with {entry.code}" if entry.code else entry.status
    reason = f" ({entry.reason})" if entry.reason else ""
    got = f"{status} with {code}" if code else status
    detail = f": {message}" if message and status == wire.FAILED else ""
    return code or "assertion-failed", f"{what} is expected to be {wanted}{reason}, and is {got}{detail}"


def _annotation(entry: Expectation) -> dict[str, str]:
    """Return what a record says about the expectation that speaks for it."""
    return {"status": entry.status, "code": entry.code, "reason": entry.reason}
