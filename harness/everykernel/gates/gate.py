"""The gate: results, what is known of them, and what was promised, weighed into one verdict."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from everykernel.errors import CaseError, GuestError, HarnessError
from everykernel.gates import growth as growing
from everykernel.gates import rules as ruling
from everykernel.gates.baseline import Baseline
from everykernel.gates.changes import Change, Comparison, Kind, compare, expecting
from everykernel.gates.findings import GUEST, Cell, Finding, Survey, survey
from everykernel.gates.policy import Policy
from everykernel.gates.update import Updated, update, write
from everykernel.gates.where import KernelSeen, Where
from everykernel.matrix.records import CaseResult, KernelRecord
from everykernel.matrix.results import Results


@dataclass(frozen=True)
class Counts:
    """How many cells there are of each kind; every cell is in one, and flaky ones are counted besides."""

    passed: int = 0
    failing: int = 0  # for what is new, or has no baseline
    still_failing: int = 0  # as the baseline says
    guest: int = 0
    harness: int = 0
    advisory: int = 0  # not green, on a kernel that does not decide
    flaky: int = 0  # of all of these: came to a verdict only when they were run again

    @property
    def indeterminate(self) -> int:
        """The cells without a verdict, on kernels that decide."""
        return self.guest + self.harness

    @property
    def total(self) -> int:
        """All cells."""
        return self.passed + self.failing + self.still_failing + self.indeterminate + self.advisory


@dataclass(frozen=True)
class Verdict:
    """What a gate says.

    Attributes:
        changes: what changed, was promised and is not so, or grew; those that decide nothing included.
        counts: the cells.
        broken: the cells of kernels that decide whose guest, or the harness, broke.
        known: what is as the baseline says.
        partial: whether the run was taken for a part.
    """

    changes: tuple[Change, ...]
    counts: Counts
    broken: tuple[Cell, ...]
    known: tuple[Finding, ...]
    partial: bool = False

    @property
    def exit_code(self) -> int:
        """0 green, 1 something decided, 3 a guest broke, 4 the harness broke or nothing ran; what is worst counts."""
        if self.counts.harness or any(change.kind == Kind.EMPTY for change in self.changes):
            return HarnessError.exit_code
        if self.counts.guest:
            return GuestError.exit_code
        return CaseError.exit_code if any(change.decides for change in self.changes) else 0


def judge(
    results: Results,
    policy: Policy,
    baseline: Baseline | None = None,
    against: Results | None = None,
    today: datetime.date | None = None,
) -> Verdict:
    """Return what a gate says of results.

    Args:
        results: of a run, cut short or not.
        policy: what it goes by.
        baseline: what is known.
        against: an older run, against which growth is measured; without a baseline, it is what is known.
        today: by which lines expire; the day in UTC where nobody says.
    """
    seen = policy.survey(results)
    old = policy.survey(against) if against is not None else None
    known = baseline if baseline is not None else Baseline.of(old) if old is not None else None
    advisory = frozenset(kernel.spec for kernel in seen.kernels if policy.is_advisory(kernel))
    if baseline is not None:
        gone = (KernelSeen.of({"spec": spec}) for spec in baseline.kernels)
        advisory |= {kernel.spec for kernel in gone if policy.is_advisory(kernel)}
    compared = compare(seen, known, today=today or _today(), advisory=advisory, partial=policy.partial)
    changes = list(compared.changes)
    changes += ruling.check(policy.rules, seen, advisory, partial=policy.partial)
    changes += [] if policy.partial else _required(policy.required, seen)
    if policy.growth is not None and old is not None:
        changes += growing.check(policy.growth, old, seen, advisory)
    if all(cell.kernel.spec in advisory for cell in seen.cells):
        changes.insert(0, _nothing(seen))
    order = list(Kind)
    changes.sort(key=lambda change: (order.index(change.kind), not change.decides))
    broken = tuple(cell for cell in compared.broken if cell.kernel.spec not in advisory)
    return Verdict(tuple(changes), _counts(seen, compared, advisory), broken, compared.known, policy.partial)


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _nothing(seen: Survey) -> Change:
    count = len(seen.cells)
    said = f"all {count} cells are on advisory kernels" if count else "there is no cell in these results"
    return Change(Kind.EMPTY, said, (), "a run that shows nothing is not green")


def _required(required: Sequence[Where], seen: Survey) -> Iterator[Change]:
    for where in required:
        if not any(where.holds(kernel) for kernel in seen.ran):
            yield Change(Kind.KERNEL_GONE, where.text, (), "it is required, and no cell of this run is on it")


def _counts(seen: Survey, compared: Comparison, advisory: frozenset[str]) -> Counts:
    broken = {id(cell) for cell in compared.broken}
    changed = {(f.thing, f.kernel.spec) for change in compared.changes for f in change.findings}
    found = {"passed": 0, "failing": 0, "still_failing": 0, "guest": 0, "harness": 0, "advisory": 0}
    found["flaky"] = sum(bool(cell.flaky) for cell in seen.cells)
    for cell in seen.cells:
        if not cell.findings:
            found["passed"] += 1
        elif cell.kernel.spec in advisory:
            found["advisory"] += 1
        elif id(cell) in broken:
            found["harness" if cell.broke == "harness" else GUEST] += 1
        else:
            new = any((finding.thing, finding.kernel.spec) in changed for finding in cell.findings.values())
            found["failing" if new else "still_failing"] += 1
    return Counts(**found)


class Judged(NamedTuple):
    """What a gate came to: its verdict, and the baseline as it was written, None where it was not."""

    verdict: Verdict
    updated: Updated | None = None


@dataclass(frozen=True)
class Gate:
    """A gate that is ready: its baseline is read, so that what is wrong with it is said before anything boots.

    Attributes:
        policy: what it goes by.
        baseline: what is known, None where nothing is.
        updates: whether the baseline is to be written.
    """

    policy: Policy
    baseline: Baseline | None = None
    updates: bool = False

    @classmethod
    def of(cls, policy: Policy, *, updates: bool = False) -> Gate:
        """Return a gate; raise UsageError for a baseline that is not there, or is none."""
        if policy.baseline is None:
            return cls(policy)
        absent = updates and not policy.baseline.exists()
        return cls(policy, Baseline() if absent else Baseline.read(policy.baseline), updates)

    def excuse(self, result: CaseResult, kernel: KernelRecord, run: Iterable[KernelRecord]) -> str:
        """Return why a cell that is not green does not decide, "" where it does.

        It does not on an advisory kernel, where the baseline lists all that is not green in it, and where that is about
        to be written there.

        Args:
            result: the cell.
            kernel: its column.
            run: the columns of the run, by which lines expire.
        """
        [cell] = survey([result], [kernel], root=self.policy.root, splats=self.policy.splats).cells
        if self.policy.is_advisory(cell.kernel):
            return f"{cell.kernel.spec} is advisory"
        if self.baseline is None or not cell.findings:
            return ""
        if self.updates and not cell.broke:
            return f"written to {self.policy.baseline}"
        return expecting(self.baseline, cell, [KernelSeen.of(one) for one in run], _today())

    def judge(self, results: Results, against: Results | None = None, *, partial: bool = False) -> Judged:
        """Return what it says of results, after it brought the baseline up to date where that was asked for.

        The baseline stays as it is where nothing ran. Raises HarnessError where it cannot be written.

        Args:
            results: of a run.
            against: an older run.
            partial: whether it turned out that the run is not of everything; one shard of a run never is.
        """
        part = partial or bool(dict(results["run"]).get("shard"))
        policy = replace(self.policy, partial=self.policy.partial or part)
        path = policy.baseline
        if not self.updates or self.baseline is None or path is None or not results["results"]:
            return Judged(judge(results, policy, self.baseline, against))
        made = update(self.baseline, policy.survey(results), partial=policy.partial)
        fresh = Baseline.parse(made.text, str(path), policy.root)
        if made.text != "\n".join((*self.baseline.lines, "")):
            write(path, made.text)
        return Judged(judge(results, policy, fresh, against), made)
