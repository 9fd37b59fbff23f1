"""What changed between what is known and what a run found: each kind of change by itself, with who has it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from everykernel.gates.baseline import Baseline, Entry
from everykernel.gates.findings import GUEST, LISTABLE, Cell, Finding, Survey, Thing, clear
from everykernel.gates.where import KernelSeen


class Kind(StrEnum):
    """What kind of change it is, in the order in which they are told."""

    EMPTY = "nothing ran"
    REGRESSED = "regressed"
    NEW = "new"
    FAILED = "failed"  # where nothing says what is known
    EXPIRED = "expired"
    RULE = "rule broken"
    GROWN = "grown"
    FIXED = "fixed but still listed"
    KERNEL_GONE = "kernel gone"
    OBJECT_GONE = "object gone"


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        kind: its kind.
        what: the thing, the kernel or the rule, in words.
        kernels: the columns that have it, in order; empty where it is about none, or all.
        detail: what was said, or what to do.
        line: of the baseline, 0 for none.
        decides: whether it makes the run red.
        findings: what it was seen by.
    """

    kind: Kind
    what: str
    kernels: tuple[str, ...] = ()
    detail: str = ""
    line: int = 0
    decides: bool = True
    findings: tuple[Finding, ...] = ()


def in_words(thing: Thing) -> str:
    """Return a thing: ``tool.bpf.o load on_exit: verifier-rejected``."""
    others = [thing.loader if thing.loader != "own" else "", thing.rules if thing.rules != "libbpf" else ""]
    by = "".join(f" by {name}" for name in others if name)
    target = f" at {thing.target}" if thing.target != "guest" else ""
    return f"{thing.row} {thing.stage}{' ' + thing.program if thing.program else ''}{by}{target}: {thing.code}"


@dataclass(frozen=True)
class Comparison:
    """A run compared with what is known.

    Attributes:
        changes: what changed; what is as it was is in none of them.
        known: the findings that are as the baseline says, which does not make them green.
        broken: the cells without a verdict that nothing lists.
    """

    changes: tuple[Change, ...]
    known: tuple[Finding, ...]
    broken: tuple[Cell, ...]


def compare(
    survey: Survey,
    baseline: Baseline | None,
    *,
    today: datetime.date,
    advisory: frozenset[str] = frozenset(),
    partial: bool = False,
) -> Comparison:
    """Return what changed.

    Args:
        survey: the run.
        baseline: what is known; None where nothing is: then everything that is not green is a failure.
        today: the day, by which lines expire.
        advisory: columns whose changes are told and do not decide.
        partial: whether the run is not of everything: what was not run is not gone.
    """
    made = _Comparing(survey, baseline, today, advisory)
    return made.compare(partial=partial)


class _Comparing:
    def __init__(
        self, survey: Survey, baseline: Baseline | None, today: datetime.date, advisory: frozenset[str]
    ) -> None:
        self._survey = survey
        self._baseline = baseline
        self._advisory = advisory
        entries = baseline.entries if baseline is not None else ()
        self._places: dict[Thing, list[Entry]] = {}  # by things whose code is left out
        for entry in entries:
            self._places.setdefault(entry.thing._replace(code=""), []).append(entry)
        self._over = {e for e in entries if e.until is not None and e.until.over(today, survey.ran)}

    def compare(self, *, partial: bool) -> Comparison:
        found: dict[tuple[Kind, str, str, int], list[Finding]] = {}
        known, broken = [], []
        for cell in self._survey.cells:
            for finding in cell.findings.values():
                entries = self._entries(finding)
                live = [entry for entry in entries if entry not in self._over]
                if live:
                    known.append(finding)
                elif entries:
                    self._note(found, Kind.EXPIRED, finding, entries[0])
                elif cell.broke:
                    broken.append(cell)
                else:
                    self._note(found, self._kind(finding), finding, None)
        changes = [self._change(*key, findings) for key, findings in found.items()]
        if self._baseline is not None and self._baseline.listed:
            changes += self._fixed()
            changes += [] if partial else [*self._kernels_gone(), *self._objects_gone()]
        order = list(Kind)
        changes.sort(key=lambda change: (order.index(change.kind), not change.decides, change.what))
        return Comparison(tuple(changes), tuple(known), tuple(broken))

    def _entries(self, finding: Finding) -> list[Entry]:
        of_thing = self._baseline.of_thing if self._baseline is not None else {}
        if finding.thing.stage == GUEST and finding.thing.code not in LISTABLE:
            return []
        return [entry for entry in of_thing.get(finding.thing, []) if entry.holds(finding)]

    def _kind(self, finding: Finding) -> Kind:
        if self._baseline is None:
            return Kind.FAILED
        return Kind.REGRESSED if self._baseline.knew(finding) else Kind.NEW

    def _note(
        self,
        found: dict[tuple[Kind, str, str, int], list[Finding]],
        kind: Kind,
        finding: Finding,
        entry: Entry | None,
    ) -> None:
        """Keep a finding beside those that differ in the kernel only."""
        if entry is not None and entry.until is not None:
            said = f"listed until {entry.until.text}{': ' + entry.reason if entry.reason else ''}"
            found.setdefault((kind, in_words(finding.thing), said, entry.line), []).append(finding)
            return
        other = self._otherwise(finding)
        line = other.line if other is not None else 0
        was = f"listed as {other.thing.code}; " if other is not None and line else ""
        found.setdefault((kind, in_words(finding.thing), was, line), []).append(finding)

    def _otherwise(self, finding: Finding) -> Entry | None:
        """Return what lists the same program and stage on that kernel for another reason."""
        entries = self._places.get(finding.thing._replace(code=""), [])
        return next((entry for entry in entries if entry.covers(finding.kernel, finding.btf)), None)

    def _change(self, kind: Kind, what: str, said: str, line: int, findings: list[Finding]) -> Change:
        kernels = tuple(dict.fromkeys(finding.kernel.spec for finding in findings))
        detail = said if kind == Kind.EXPIRED else said + findings[0].message
        return Change(kind, what, kernels, detail, line, self._decides(kernels), tuple(findings))

    def _decides(self, kernels: Sequence[str]) -> bool:
        return any(kernel not in self._advisory for kernel in kernels)

    # --- what is listed, and is not there

    def _fixed(self) -> Iterator[Change]:
        assert self._baseline is not None
        for entry in self._baseline.entries:
            cells = [
                cell
                for cell in self._survey.rows.get(entry.thing.row, [])
                if cell.has(entry.thing) and entry.covers(cell.kernel, cell.btf)
            ]
            failing = {cell.kernel.spec for cell in cells if not clear(cell, entry.thing)}
            kernels = tuple(dict.fromkeys(c.kernel.spec for c in cells if c.kernel.spec not in failing))
            if kernels:
                rest = f"; the line says {entry.where.text}" if failing or entry.where.text not in kernels else ""
                detail = f"take it out, or let --update-baseline do it{rest}"
                yield Change(Kind.FIXED, in_words(entry.thing), kernels, detail, entry.line, self._decides(kernels))

    def _kernels_gone(self) -> Iterator[Change]:
        assert self._baseline is not None
        ran = {kernel.spec for kernel in self._survey.ran}
        missing = {kernel.spec: kernel.missing for kernel in self._survey.kernels if kernel.missing}
        gone = sorted(self._baseline.kernels - ran)
        for spec in gone:
            number = sum(entry.where.text == spec for entry in self._baseline.entries)
            told = f", and {number} line{'' if number == 1 else 's'} about it" if number else ""
            why = missing.get(spec) or "no cell of this run is on it"
            yield Change(Kind.KERNEL_GONE, spec, (), f"{why}{told}", 0, spec not in self._advisory)
        for entry in self._baseline.entries:
            cells = self._survey.rows.get(entry.thing.row, [])
            if not cells or entry.where.text in gone:
                continue
            if not any(cell.has(entry.thing) and entry.covers(cell.kernel, cell.btf) for cell in cells):
                said = f"no cell of {entry.thing.row} is there{' with btf=' + entry.btf if entry.btf else ''}"
                decides = entry.where.text not in self._advisory
                yield Change(Kind.KERNEL_GONE, entry.where.text, (), f"{said}{_by(entry)}", entry.line, decides)

    def _objects_gone(self) -> Iterator[Change]:
        assert self._baseline is not None
        listed: dict[str, list[Entry]] = {}
        for entry in self._baseline.entries:
            listed.setdefault(entry.thing.row, []).append(entry)
        for row in sorted((self._baseline.rows | set(listed)) - set(self._survey.rows)):
            lines = listed.get(row, [])
            told = f", and {len(lines)} line{'' if len(lines) == 1 else 's'} about it" if lines else ""
            yield Change(Kind.OBJECT_GONE, row, (), f"no cell of this run has it{told}", lines[0].line if lines else 0)


def _by(entry: Entry) -> str:
    thing = entry.thing
    return f" by {thing.loader}" if thing.loader != "own" else f" by rules {thing.rules}" * (thing.rules != "libbpf")


def expecting(baseline: Baseline, cell: Cell, kernels: Sequence[KernelSeen], today: datetime.date) -> str:
    """Return why a cell may fail as it does, "" where anything in it is not listed, or no more."""
    reasons = []
    for finding in cell.findings.values():
        entries = [entry for entry in baseline.of_thing.get(finding.thing, []) if entry.holds(finding)]
        live = [entry for entry in entries if entry.until is None or not entry.until.over(today, kernels)]
        if not live:
            return ""
        reasons.append(live[0].reason or f"listed in line {live[0].line}")
    return "; ".join(dict.fromkeys(reasons))
