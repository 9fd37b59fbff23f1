"""Rules: what a project promises of its objects, whatever its baseline knows.

    loads on >=5.10        runs on lts for tools/*.bpf.o        relocates on 6.1/i386        no misread

``VERB on KERNELS [for GLOB]``, where the verb is relocates, loads or runs; ``no misread [on KERNELS] [for GLOB]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from everykernel import wire
from everykernel.architectures import ARCHITECTURES
from everykernel.errors import UsageError
from everykernel.gates.changes import Change, Kind
from everykernel.gates.findings import Cell, Survey
from everykernel.gates.where import KernelSeen, Where
from everykernel.kernels import catalogue
from everykernel.matrix import records
from everykernel.matrix.expect import STAGES

_VERBS = {"relocates": "relocate", "loads": "load", "runs": "run"}
_MISREAD = "misread"
_REMEDY = "write 'loads on >=5.10', 'runs on lts for tools/*', or 'no misread'"


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        text: as it was written.
        stage: the stage that has to pass, ``misread`` where nothing may be misread.
        kernels: any of which it speaks of; empty for all.
        each: whether every one of ``kernels`` has to be in the run: they were named one by one.
        objects: a glob of rows.
    """

    text: str
    stage: str
    kernels: tuple[Where, ...] = ()
    each: bool = False
    objects: str = "*"

    @classmethod
    def parse(cls, text: str, where: str = "require") -> Rule:
        """Return the rule that a text is; raise UsageError, with ``where``, if it is none."""
        words = text.split()
        if words[:2] == ["no", _MISREAD]:
            stage, rest = _MISREAD, words[2:]
        elif words and words[0] in _VERBS and words[1:2] == ["on"]:
            stage, rest = _VERBS[words[0]], words[1:]
        else:
            raise UsageError(f"{text!r} is no rule", where=where, remedy=_REMEDY)
        kernels: tuple[Where, ...] = ()
        each, objects = False, "*"
        if rest[:1] == ["on"]:
            if len(rest) < len(("on", "KERNELS")):
                raise UsageError(f"{text!r} names no kernels", where=where, remedy=_REMEDY)
            kernels, each = _kernels(rest[1], f"{where}: {text!r}")
            rest = rest[2:]
        if rest[:1] == ["for"] and len(rest) > 1:
            objects, rest = rest[1], rest[2:]
        if rest:
            raise UsageError(f"{text!r}: nothing is known about {rest[0]!r}", where=where, remedy=_REMEDY)
        return cls(text, stage, kernels, each, objects)

    def holds_for(self, cell: Cell) -> bool:
        """Return whether it speaks of a cell that can tell: its guest did not break, and its stage was asked for."""
        if cell.broke or not fnmatchcase(cell.row, self.objects):
            return False
        if self.kernels and not any(where.holds(cell.kernel) for where in self.kernels):
            return False
        return self.stage == _MISREAD or _status(cell, self.stage) != wire.SKIPPED

    def breach(self, cell: Cell) -> str:
        """Return what a cell does against it, "" for nothing."""
        if self.stage == _MISREAD:
            found = cell.result.get("misreads", [])
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            return f"{found[0]['program']}: {records.in_words(found[0])}{more}" if found else ""
        reached = STAGES[: STAGES.index(self.stage) + 1]
        for name in reached:
            stage: wire.Stage = cell.result.get("stages", {}).get(name, {})
            status = stage.get("status", wire.NOT_REACHED)
            if status in (wire.FAILED, wire.NOT_REACHED):
                code = f" with {stage['code']}" if stage.get("code") else ""
                expected = ", as its case expects" if "expected" in stage else ""
                said = f": {stage['message']}" if stage.get("message") else ""
                return f"{name} {status}{code}{expected}{said}"
        return ""


def _status(cell: Cell, stage: str) -> str:
    found: wire.Stage = cell.result.get("stages", {}).get(stage, {})
    return str(found.get("status", wire.NOT_REACHED))


def _kernels(text: str, where: str) -> tuple[tuple[Where, ...], bool]:
    """Return the kernels of a rule, and whether each has to be in the run."""
    name, _, arch = text.partition("/")
    if name != "lts":
        found = Where.parse(text, where)
        return (found,), found.range is None
    if arch and arch not in ARCHITECTURES:
        raise UsageError(f"{arch!r} is no architecture", where=where, remedy=f"one of {', '.join(ARCHITECTURES)}")
    tail = f"/{arch}" if arch else ""
    series = [one.name for one in catalogue.load().series.values() if one.lts]
    return tuple(Where.parse(f"=={one}{tail}", where) for one in series), True


def check(rules: tuple[Rule, ...], survey: Survey, advisory: frozenset[str], *, partial: bool) -> Iterator[Change]:
    """Yield what a run does against the rules, a change for each of what is said, and what it left open.

    A rule that no cell can tell about is broken too: what was not run is not shown. In a partial run it is left alone.
    """
    for rule in rules:
        found: dict[tuple[str, str], list[KernelSeen]] = {}
        told: list[KernelSeen] = []
        undecided: list[KernelSeen] = []  # those of broken guests
        for cell in survey.cells:
            if rule.holds_for(cell):
                told.append(cell.kernel)
                if said := rule.breach(cell):
                    found.setdefault((cell.row, said), []).append(cell.kernel)
            elif cell.broke:
                undecided.append(cell.kernel)
        for (row, said), kernels in found.items():
            specs = tuple(dict.fromkeys(kernel.spec for kernel in kernels))
            decides = any(spec not in advisory for spec in specs)
            yield Change(Kind.RULE, f"{rule.text}: {row}", specs, said, decides=decides)
        if not partial:
            yield from _open(rule, told, undecided)


def _open(rule: Rule, told: list[KernelSeen], undecided: list[KernelSeen]) -> Iterator[Change]:
    """Yield what a rule speaks of and no cell tells; kernels whose guests broke are told apart, and left out here."""
    for where in rule.kernels if rule.each else ():
        if not any(where.holds(kernel) for kernel in (*told, *undecided)):
            name = where.text.removeprefix("==")
            yield Change(Kind.RULE, rule.text, (), f"no cell of this run is on {name}, so nothing shows that it holds")
    if not told and not undecided and not (rule.each and rule.kernels):
        yield Change(Kind.RULE, rule.text, (), "no cell of this run is one that it speaks of")
