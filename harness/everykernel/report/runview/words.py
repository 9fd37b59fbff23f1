"""What a row comes to in a sentence, of what was measured only: ``loads from 5.15, not on 6.1/i386 (btf-missing)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from everykernel import wire
from everykernel.escaping import printable
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult
from everykernel.report import columns

_PARTS = 3  # that are named where all are alike, or the rest is named
LOADS, PART, NOT, BROKE, NOTHING = "loads", "in part", "not", "broke", ""


@dataclass(frozen=True)
class Tested:
    """One column of a row that has results.

    Attributes:
        name: of the column.
        family: loader, vendor and architecture: within one, versions can be compared.
        series: ``6.1``; said where the name does not say it.
        results: of this row and column, at least one.
    """

    name: str
    family: str
    series: str
    results: Sequence[CaseResult]


@dataclass(frozen=True)
class _Verdict:
    one: Tested
    load: str
    code: str
    run: str
    why: str


def line(tested: Sequence[Tested]) -> str:
    """Return the sentence; ``tested`` is in order of version within each family."""
    return _Sentence(tested).text()


class _Sentence:
    def __init__(self, tested: Sequence[Tested]) -> None:
        self._names: dict[str, list[str]] = {}  # of each family, all that was tested: what neighbours are
        for one in tested:
            self._names.setdefault(one.family, []).append(_called(one))
        self._found = [_verdict(one) for one in tested]

    def text(self) -> str:
        known = [v for v in self._found if v.load in (LOADS, PART, NOT)]
        fails = [v for v in known if v.load != NOT and v.run == wire.FAILED]
        misreads = [v for v in self._found if any(result.get("misreads") for result in v.one.results)]
        broke = [v for v in self._found if v.load == BROKE]
        parts = [
            self._load(known) if known else self._command(),
            ", ".join(self._grouped("does not run on ", fails, [v.why for v in fails])),
            f"misreads on {self._span(misreads)}" if misreads else "",
            f"nothing known on {self._span(broke)}: the guest or the harness broke" if broke else "",
        ]
        return "; ".join(part for part in parts if part)

    def _load(self, known: Sequence[_Verdict]) -> str:
        loads = [v for v in known if v.load == LOADS]
        part, never = ([v for v in known if v.load == load] for load in (PART, NOT))
        verb = "loads and runs" if loads and all(v.run == wire.PASSED for v in loads) else "loads"
        others = self._grouped("in part on ", part, [v.code for v in part])
        others += self._grouped("not on ", never, [v.code for v in never])
        if not others:
            return f"{verb} on {self._all(known)}"
        if loads:
            return ", ".join([f"{verb} {self._from(loads, known)}", *others])
        return f"loads {', '.join(others)}" if part else f"loads nowhere: {', '.join(others)}"

    def _from(self, loads: Sequence[_Verdict], known: Sequence[_Verdict]) -> str:
        """Return where it loads: from a version on, or up to one, in the family with most columns, if that is so."""
        families: dict[str, list[_Verdict]] = {}
        for v in known:
            families.setdefault(v.one.family, []).append(v)
        main = max(families.values(), key=len)
        states = [v.load == LOADS for v in main]
        others = [v for v in loads if v not in main]
        also = f", also on {self._span(others)}" if others else ""
        edge = states.index(True) if True in states else 0
        if edge and all(states[edge:]):
            return f"from {_called(main[edge].one)}{also}"
        end = states.index(False) if False in states else 0
        if end and not any(states[end:]):
            return f"up to {_called(main[end - 1].one)}{also}"
        span = self._span(loads)
        return f"on {span}" if span.count(",") < _PARTS else f"on {len(loads)} of {len(known)} kernels"

    def _all(self, known: Sequence[_Verdict]) -> str:
        span = self._span(known)
        return span if span.count(",") < _PARTS else f"all {len(known)} kernels"

    def _command(self) -> str:
        """Return what is known of a row that loads nothing itself: a command."""
        passed = [v for v in self._found if v.run == wire.PASSED]
        failed = [v for v in self._found if v.run == wire.FAILED]
        told = [f"runs on {self._span(passed)}"] if passed else []
        return ", ".join([*told, *self._grouped("fails on ", failed, [v.why for v in failed])])

    def _grouped(self, words: str, found: Sequence[_Verdict], codes: Sequence[str]) -> list[str]:
        """Return where something is so, once a reason: ``not on 5.10 (map-type-unsupported)``."""
        by: dict[str, list[_Verdict]] = {}
        for v, code in zip(found, codes):
            by.setdefault(code, []).append(v)
        return [f"{words}{self._span(there)}{f' ({printable(code)})' if code else ''}" for code, there in by.items()]

    def _span(self, found: Sequence[_Verdict]) -> str:
        """Return columns in words, those put together between which nothing else of their family was tested."""
        families: dict[str, list[str]] = {}
        for v in found:
            families.setdefault(v.one.family, []).append(_called(v.one))
        return ", ".join(
            text for family, names in families.items() for text in columns.ranges(names, self._names[family])
        )


def _called(one: Tested) -> str:
    """Return a column's name, with its series where that does not stand in it: ``rocky:9 (5.14)``."""
    name = printable(one.name)
    return f"{name} ({one.series})" if one.series and one.series not in name else name


def _verdict(one: Tested) -> _Verdict:
    """Return what the results of a column come to, the worst of several."""
    found = [_of_result(one, result) for result in one.results]
    return min(found, key=lambda v: (BROKE, NOT, PART, LOADS, NOTHING).index(v.load))


def _of_result(one: Tested, result: CaseResult) -> _Verdict:
    stages = result.get("stages", {})
    run = stages.get("run", {})
    ran = run.get("status", "")
    why = run.get("code", "")
    if records.broke(result):
        return _Verdict(one, BROKE, result.get("code", ""), "", "")
    for name in ("relocate", "load"):
        stage = stages.get(name, {})
        if stage.get("status") == wire.FAILED:
            return _Verdict(one, NOT, stage.get("code", ""), ran, why)
    load = stages.get("load", {})
    if load.get("status") != wire.PASSED:
        code = load.get("code", "")
        return _Verdict(one, NOT if code else NOTHING, code, ran, why)
    refused = [p for p in load.get("programs", []) if p.get("decides", True) and p.get("status") == wire.FAILED]
    return _Verdict(one, PART if refused else LOADS, refused[0].get("code", "") if refused else "", ran, why)
