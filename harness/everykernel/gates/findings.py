"""What is not green in results: each thing once a cell, by a name that is the same in every run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import Any, NamedTuple

from everykernel import wire
from everykernel.gates.where import KernelSeen
from everykernel.loaders.names import OWN, USUAL_RULES
from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult, KernelRecord
from everykernel.reasons import REASONS

GUEST = "guest"  # in the place of a stage: a guest broke, there was no verdict
TARGET = "guest"  # where kernels run that nobody said anything about
EVERY_STAGE = (*STAGES, GUEST)
WARNING = "kernel-warning"
LISTABLE = ("kernel-panic", "kernel-oops", "kernel-hung", "loader-broke")  # of broken guests: what an object may do
_SAME = ("module",)  # BTF of a module: the kernel has its own, as a baseline sees it


class Thing(NamedTuple):
    """What is not green, whatever the kernel.

    Attributes:
        row: the case, or the object as the run was given it, below the baseline's folder where it is there.
        stage: ``relocate``, ``load``, ``run``, or ``guest`` where the guest broke.
        program: "" for the object as a whole.
        code: the reason code.
        loader: who loaded.
        rules: whose rules decided, where our own loader did.
        target: where the kernel ran.
    """

    row: str
    stage: str
    program: str
    code: str
    loader: str = OWN
    rules: str = USUAL_RULES
    target: str = TARGET


@dataclass(frozen=True)
class Finding:
    """A thing in one cell, with what was said of it."""

    thing: Thing
    kernel: KernelSeen
    btf: str
    message: str


@dataclass(frozen=True)
class Cell:
    """One result, as a gate sees it.

    Attributes:
        result: the result.
        kernel: its column.
        row, loader, rules, target: as its things have them.
        btf: ``kernel``, ``supplied`` or ``none``, "" where nothing tells.
        broke: ``guest`` or ``harness`` where there is no verdict, else "".
        findings: what is not green in it, each thing once.
    """

    result: CaseResult
    kernel: KernelSeen
    row: str
    loader: str
    rules: str
    target: str
    btf: str
    broke: str
    findings: dict[Thing, Finding] = field(default_factory=dict)

    @property
    def flaky(self) -> bool:
        """Whether it has a verdict, and its guest or harness broke before it was run again."""
        earlier: Sequence[Mapping[str, Any]] = dict(self.result).get("attempts") or ()  # type: ignore[assignment]
        return not self.broke and any(one.get("outcome") == records.ERROR for one in earlier)

    def thing(self, stage: str, program: str, code: str) -> Thing:
        """Return the name of something in this cell."""
        return Thing(self.row, stage, program, code, self.loader, self.rules, self.target)

    def has(self, thing: Thing) -> bool:
        """Return whether a thing would be in this cell: of its row, loader, rules and target."""
        mine = (self.row, self.loader, self.rules, self.target)
        return mine == (thing.row, thing.loader, thing.rules, thing.target)


@dataclass(frozen=True)
class Survey:
    """The results of a run.

    Attributes:
        kernels: the columns, in order, those of which there is no cell included.
        cells: of every result one.
    """

    kernels: tuple[KernelSeen, ...]
    cells: tuple[Cell, ...]

    @cached_property
    def rows(self) -> dict[str, list[Cell]]:
        """The cells by row."""
        found: dict[str, list[Cell]] = {}
        for cell in self.cells:
            found.setdefault(cell.row, []).append(cell)
        return found

    @cached_property
    def ran(self) -> tuple[KernelSeen, ...]:
        """The kernels of which there are cells, in order."""
        there = {cell.kernel.spec for cell in self.cells}
        return tuple(kernel for kernel in self.kernels if kernel.spec in there)


Deciding = Callable[[CaseResult], Sequence[str]]
"""Gives the kernel warnings of a result that are not allowed."""


def survey(
    results: Iterable[CaseResult],
    kernels: Iterable[KernelRecord],
    *,
    root: PurePath | None = None,
    splats: Deciding = lambda _: (),
) -> Survey:
    """Return what is and what is not green.

    Args:
        results: the cells of a run.
        kernels: its columns.
        root: the folder that names of objects are told from, where they are below it.
        splats: gives the kernel's warnings that make a cell not green.
    """
    known = {kernel.spec: kernel for kernel in map(KernelSeen.of, kernels)}
    cells = []
    for result in results:
        spec = str(result.get("kernel", "?"))
        kernel = known.setdefault(spec, KernelSeen.of({"spec": spec}))
        cells.append(_cell(result, kernel, root, splats))
    return Survey(tuple(known.values()), tuple(cells))


def row_of(name: str, root: PurePath | None = None) -> str:
    """Return the name of a row as a baseline has it: a path below ``root`` from there, without ``./`` before it."""
    if name.startswith("./"):
        return os.path.normpath(name)
    if root is not None and name.startswith("/"):
        path = PurePath(os.path.normpath(name))
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    return name


def _cell(result: CaseResult, kernel: KernelSeen, root: PurePath | None, splats: Deciding) -> Cell:
    loader = _ODD.sub("_", str(result.get("loader", OWN)))
    rules = _ODD.sub("_", str(result.get("rules", USUAL_RULES)))
    cell = Cell(
        result,
        kernel,
        row_of(str(records.title(result)), root),
        loader,
        rules if loader == OWN else USUAL_RULES,
        _ODD.sub("_", str(result.get("target", TARGET))),
        _btf(result, kernel),
        records.broke(result),
    )
    for stage, program, code, message in _problems(result, splats):
        thing = cell.thing(stage, program, code)
        cell.findings.setdefault(thing, Finding(thing, kernel, cell.btf, message))
    return cell


def _btf(result: CaseResult, kernel: KernelSeen) -> str:
    kind = str(result.get("btf", "")).partition(":")[0]
    return "kernel" if kind in _SAME else kind or kernel.btf


def _problems(result: CaseResult, splats: Deciding) -> Iterable[tuple[str, str, str, str]]:
    """Yield stage, program, code and message of what is not green in a result."""
    whole: Mapping[str, Any] = result
    if records.broke(result):
        yield GUEST, "", str(result.get("code", "")), str(result.get("message", ""))
        return
    if result.get("outcome") != records.PASSED:
        problems: Sequence[Mapping[str, Any]] = result.get("problems") or [{**whole, "program": ""}]
        for told in problems:
            stage, code = str(told.get("stage", "")), str(told.get("code", ""))
            place = stage if stage in STAGES else "run", str(told.get("program", ""))
            yield *place, code if code in REASONS else _OTHER, str(told.get("message", ""))
    for splat in splats(result):
        first = next(iter(splat.split("\n")), "")
        yield "run", "", WARNING, first[:_SPLAT]


_SPLAT = 200  # characters of a splat that are told
_OTHER = "assertion-failed"  # for codes that this version does not know
_ODD = re.compile(r"[^\w.+-]")  # what no name of a loader or target has


def clear(cell: Cell, thing: Thing) -> bool:
    """Return whether a cell shows that a thing of its row is no more; False where it does not come to it.

    It does not where the guest broke, where a stage before it failed, where its stage was not asked for, or where the
    same program, or the object as a whole, fails there for another reason.
    """
    if cell.broke or thing in cell.findings:
        return False
    if thing.stage == GUEST:
        return True
    before = STAGES[: STAGES.index(thing.stage)] if thing.stage in STAGES else ()
    for found in cell.findings:
        alike = found.program in ("", thing.program) or not thing.program
        if (found.stage in before and alike) or (found.stage == thing.stage and found.program == thing.program):
            return False
    stage: wire.Stage = cell.result.get("stages", {}).get(thing.stage, {})
    status = stage.get("status", "")
    if cell.result.get("outcome") == records.PASSED:
        return status != wire.SKIPPED
    programs = [p for p in stage.get("programs", []) if p.get("name") == thing.program] if thing.program else []
    if programs:
        return any(p.get("status") in (wire.PASSED, wire.FAILED) for p in programs)
    return status in (wire.PASSED, wire.FAILED)
