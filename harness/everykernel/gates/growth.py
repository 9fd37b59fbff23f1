"""How much more the verifier has to do than in an older run, of each program that both runs loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from everykernel import settings, wire
from everykernel.errors import UsageError
from everykernel.gates.changes import Change, Kind
from everykernel.gates.findings import Cell, Survey

FLOOR = 1000  # verified instructions: a program that grows by less is not told, however small it was


@dataclass(frozen=True)
class Growth:
    """How much a program may grow.

    Attributes:
        most: parts of what it was: 0.2 for 20 %.
        floor: verified instructions that it may grow by in any case.
    """

    most: float
    floor: int = FLOOR

    @classmethod
    def parse(cls, text: str, floor: int = FLOOR, where: str = "--max-insns-growth") -> Growth:
        """Return what ``20%`` means; raise UsageError for what is no share."""
        found = re.fullmatch(settings.SHARE, text.strip())
        if found is None:
            raise UsageError(f"{text!r} is no share", where=where, remedy="write 20%")
        return cls(float(found[1]) / 100, floor)


class _Program(NamedTuple):
    row: str
    program: str
    loader: str
    rules: str
    target: str
    kernel: str
    machine: str  # as it was asked for: two cells of a row differ in it


def check(growth: Growth, old: Survey, new: Survey, advisory: frozenset[str]) -> Iterator[Change]:
    """Yield a change for each program that grew past the limit; one that either run did not load is left out."""
    before = _verified(old)
    releases = {kernel.spec: kernel.release for kernel in old.kernels}
    of_kernel = {kernel.spec: kernel.release for kernel in new.kernels}
    for key, insns in _verified(new).items():
        was = before.get(key)
        if was is None or insns - was <= max(growth.floor, was * growth.most):
            continue
        share = f"{(insns - was) * 100 / was:.0f}%" if was else "from nothing"
        other = releases.get(key.kernel) != of_kernel.get(key.kernel)
        note = f"; its kernel was {'.'.join(map(str, releases.get(key.kernel, ())))}" if other else ""
        detail = f"{was} -> {insns} verified instructions (+{share}){note}"
        yield Change(Kind.GROWN, f"{key.row} {key.program}", (key.kernel,), detail, decides=key.kernel not in advisory)


def _verified(survey: Survey) -> dict[_Program, int]:
    return dict(pair for cell in survey.cells for pair in _of_cell(cell))


def _of_cell(cell: Cell) -> Iterator[tuple[_Program, int]]:
    load: wire.Stage = cell.result.get("stages", {}).get("load", {})
    machine = str(cell.result.get("machine", {}))
    for program in load.get("programs", []):
        insns = program.get("verified_insns")
        if program.get("status") == wire.PASSED and isinstance(insns, int):
            name = str(program.get("name", ""))
            yield _Program(cell.row, name, cell.loader, cell.rules, cell.target, cell.kernel.spec, machine), insns
