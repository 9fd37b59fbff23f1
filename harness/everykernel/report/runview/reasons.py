"""Why cells did not pass, each reason once, those that others follow from first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from everykernel.escaping import printable
from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult, CellReport
from everykernel.reasons import REASONS
from everykernel.report import causes
from everykernel.report.blocks import short
from everykernel.report.causes import Cause
from everykernel.report.files import Files

_MOST, _PARTICULARS, _CELLS = 200, 40, 200  # causes; of each, particulars and cells that are shown
_LOG = 6  # lines of its log


@dataclass
class Reason:
    """One reason.

    Attributes:
        stage: where it arose, "" where a guest or the harness broke.
        code: its reason code.
        hint: what an author can do.
        cells: how many have it.
        particulars: what is said, where in the source, and of which rows and kernels, each in words.
        more: how many further particulars there are.
        log: the end of the first log that tells of it.
        links: the cells that are named, by column.
        after: what else failed in these cells alone, in a later stage.
    """

    stage: str
    code: str
    hint: str
    cells: int
    particulars: list[tuple[str, str]]
    more: int
    log: list[str]
    links: dict[str, list[CaseResult]]
    after: list[Reason] = field(default_factory=list)


def find(
    results: Sequence[CaseResult], labels: Mapping[str, str], kernels: Sequence[str], files: Files
) -> tuple[list[Reason], int]:
    """Return the reasons of all cells that did not pass, and how many more there are."""
    reports: list[CellReport] = [
        {"result": result, "console": files.console(result)} for result in results if result.get("outcome") == "error"
    ]
    found = sorted(causes.find(results, reports), key=lambda cause: (-len(cause.cells), _stage(cause)))
    shown = found[:_MOST]
    made = [_reason(cause, labels, kernels) for cause in shown]
    roots: list[Reason] = []
    for cause, reason in zip(shown, made):
        cells = set(cause.cells)
        root = next(
            (other for above, other in zip(shown, made) if _stage(above) < _stage(cause) and cells <= set(above.cells)),
            None,
        )
        (roots if root is None else root.after).append(reason)
    return roots, len(found) - len(shown)


def _stage(cause: Cause) -> int:
    return STAGES.index(cause.stage) if cause.stage in STAGES else len(STAGES)


def _reason(cause: Cause, labels: Mapping[str, str], kernels: Sequence[str]) -> Reason:
    every = list(causes.alike(cause.particulars).items())
    particulars = []
    for text, one in every[:_PARTICULARS]:
        where, programs = causes.where(one, labels, kernels)
        particulars.append((short(f"{text}{one.place}"), short(where + programs)))
    log = cause.report.lines() if cause.report is not None else cause.log[-_LOG:]
    return Reason(
        printable(cause.stage),
        printable(cause.code),
        REASONS[cause.code].remedy if cause.code in REASONS else "",
        len(cause.cells),
        particulars,
        len(every) - len(particulars),
        [short(line) for line in log],
        _by_column(list(cause.cells.values())[:_CELLS], kernels),
    )


def _by_column(cells: Sequence[CaseResult], kernels: Sequence[str]) -> dict[str, list[CaseResult]]:
    """Return cells by column, in the order of the columns; of several in one place the first."""
    found: dict[str, dict[str, CaseResult]] = {name: {} for name in kernels}
    for cell in cells:
        found.setdefault(records.column(cell), {}).setdefault(records.row(cell), cell)
    return {name: list(of.values()) for name, of in found.items() if of}
