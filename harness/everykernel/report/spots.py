"""What did not pass, by the line of C that it is about: the same on several kernels is one spot."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from everykernel import wire
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult
from everykernel.report.blocks import said, short
from everykernel.report.sources import Sources

ERROR, WARNING, NOTICE = "error", "warning", "note"
LEVELS = (ERROR, WARNING, NOTICE)
_AT = re.compile(r"(\S+:\d{1,7}): ")  # at the beginning of a message: where a check or a program asserted
MISREAD = "misread"


class Key(NamedTuple):
    """What makes two problems one spot."""

    level: str
    file: str  # as the repository has it; "" where no line is known
    line: int
    code: str
    row: str
    program: str


@dataclass
class Spot:
    """One spot.

    Attributes:
        key: where and what.
        message: what was said on the first kernel.
        kernels: the columns that have it, in the order of the results.
        object: the path of the object, "" for none.
    """

    key: Key
    message: str
    object: str
    kernels: dict[str, None] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The line, ``file:line``, "" where none is known."""
        return f"{self.key.file}:{self.key.line}" if self.key.file else ""


Level = Callable[[CaseResult], str]


def always_error(_: CaseResult) -> str:
    """Return that what failed is an error."""
    return ERROR


def find(results: Sequence[CaseResult], sources: Sources, level: Level = always_error) -> list[Spot]:
    """Return the spots of all results, errors first, those with a line before the others.

    Guests that broke have none: nothing that they say is about a line.

    Args:
        results: the cells.
        sources: how paths become the repository's.
        level: says how much what failed in a cell matters; a misread that fails nothing is a warning.
    """
    found: dict[Key, Spot] = {}
    for result in results:
        row = records.title(result)
        for matters, place, code, program, message in _of(result, level):
            file, line = sources.place(place)
            key = Key(matters, file, line, code, row, program)
            shown = sources.path(str(result["object"])) if result.get("object") else ""
            spot = found.setdefault(key, Spot(key, short(message), shown))
            spot.kernels.setdefault(records.column(result))
    order = {matters: number for number, matters in enumerate(LEVELS)}
    return sorted(found.values(), key=lambda spot: (order[spot.key.level], not spot.key.file))


def _of(result: CaseResult, level: Level) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield level, place, code, program and message of what is told of a cell."""
    strict = False
    if result.get("outcome") == records.FAILED:
        matters = level(result)
        for problem in result.get("problems", []):
            code, program = problem.get("code", ""), problem.get("program", "")
            if code == MISREAD:
                strict = True
                yield from _misreads(result, matters)
                continue
            yield matters, _place(result, problem), code, program, said(problem)
    if not strict:
        yield from _misreads(result, WARNING)


def _misreads(result: CaseResult, matters: str) -> Iterator[tuple[str, str, str, str, str]]:
    for misread in result.get("misreads", []):
        yield matters, misread.get("source", ""), MISREAD, misread["program"], records.in_words(misread)


def _place(result: CaseResult, problem: records.ProblemRecord) -> str:
    """Return the line that a problem is about: the refused instruction's, the relocation's, the assertion's."""
    name, program, message = problem.get("stage", ""), problem.get("program", ""), problem.get("message", "")
    stage: wire.Stage = result.get("stages", {}).get(name, {})
    for record in stage.get("programs", []):
        if program and record.get("name") == program and record.get("source"):
            return record["source"]
    told: list[Any] = [r for r in stage.get("relocations", []) if r.get("outcome") == "failed" and r.get("source")]
    for relocation in told:
        if f"{relocation.get('kind')} {relocation.get('access')}: " in message:
            return str(relocation["source"])
    found = _AT.match(message)
    return found[1] if found else ""
