"""The rows of the page: what each object, and each program of it, came to in every column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from everykernel import wire
from everykernel.escaping import printable
from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult
from everykernel.report import columns, marks
from everykernel.report.columns import Grid
from everykernel.report.marks import Mark
from everykernel.report.runview import words
from everykernel.report.runview.heads import Head

CLASSES = {
    marks.PASSED: "p", marks.FAILED: "f", marks.EXPECTED: "x", marks.ERROR: "e", marks.SKIPPED: "s",
    marks.NOT_REACHED: "n", marks.MISREAD: "m", marks.WARNED: "w", marks.FLAKY: "w",
    marks.REUSED: "r",
}  # fmt: skip
"""The class of each mark in the style sheet."""
_LOUD = (marks.ERROR, marks.FAILED, marks.MISREAD, marks.EXPECTED, marks.WARNED, marks.FLAKY)  # the worst first
_TAGS = {
    marks.EXPECTED: "expected", marks.SKIPPED: "skipped", marks.MISREAD: "misread", marks.WARNED: "warned",
    marks.FLAKY: "flaky", marks.REUSED: "reused",
}  # fmt: skip
_MOST_PROGRAMS = 2000  # rows of programs below one object
_SAID = 300  # characters of a message that are searched and shown at the pointer


def look(mark: Mark) -> str:
    """Return the class of a mark in the style sheet."""
    return CLASSES.get(mark, "w")


@dataclass(frozen=True)
class Cell:
    """One result in the matrix.

    Attributes:
        result: it.
        number: which it is of those of its row and column, from 0.
        shown: its marks.
        worst: the one of them that says most.
        tags: what a filter's ``status:`` finds it by.
        codes: what ``code:`` finds it by.
    """

    result: CaseResult
    number: int
    shown: tuple[Mark, ...]
    worst: Mark
    tags: tuple[str, ...]
    codes: tuple[str, ...]

    @property
    def look(self) -> str:
        """Its class in the style sheet."""
        return look(self.worst)

    @property
    def symbols(self) -> str:
        """Its marks as text."""
        return "".join(mark.symbol for mark in self.shown)

    @property
    def alike(self) -> bool:
        """Whether the cell's look says all of its marks: they need no element each, of which a page has thousands."""
        return all(look(mark) == self.look for mark in self.shown if mark is not marks.REUSED)

    @property
    def spoken(self) -> str:
        """What a screen reader says."""
        told = [f"{name} {_spoken(mark)}" for name, mark in zip(STAGES, self.shown)]
        return ", ".join([*told, *(mark.meaning for mark in self.shown[len(STAGES) :])])

    @property
    def message(self) -> str:
        """What decided, in a line."""
        return printable(self.result.get("message", "")[:_SAID])


@dataclass(frozen=True)
class Row:
    """One row of the matrix.

    Attributes:
        name: of the case or object; what cells' addresses name.
        label: what it is called in the page.
        words: the sentence on it.
        cells: of each column, in their order.
        programs: name, section and marks in each column ("" where there is nothing), of each program.
    """

    name: str
    label: str
    words: str
    cells: tuple[tuple[Cell, ...], ...]
    programs: tuple[tuple[str, str, tuple[str, ...]], ...]


def rows(drawn: Grid, heads: Sequence[Head], labels: Mapping[str, str]) -> list[Row]:
    """Return the rows of a grid, with cells in the order of ``heads``."""
    found = []
    for name in drawn.rows:
        by_column = [drawn.cells.get((name, head.name), []) for head in heads]
        tested = [
            words.Tested(head.name, "\0".join((head.column.get("loader", ""), head.vendor, head.arch)), head.series, of)
            for head, of in zip(heads, by_column)
            if of
        ]
        cells = tuple(tuple(cell(result, number) for number, result in enumerate(of)) for of in by_column)
        found.append(Row(name, labels[name], words.line(tested), cells, programs(by_column)))
    return found


def cell(result: CaseResult, number: int) -> Cell:
    """Return one result as the matrix shows it."""
    shown = tuple(marks.of_result(result))
    tags = [result.get("outcome", ""), *(_TAGS[mark] for mark in dict.fromkeys(shown) if mark in _TAGS)]
    if broke := records.broke(result):
        tags.append(broke)
    codes = [result.get("code", ""), *(code for _, code in marks.expected_codes(result))]
    codes += [problem.get("code", "") for problem in result.get("problems", [])]
    quiet = marks.PASSED if marks.PASSED in shown else marks.NOT_REACHED
    worst = next((mark for mark in _LOUD if mark in shown), quiet)
    return Cell(result, number, shown, worst, tuple(tags), tuple(filter(None, dict.fromkeys(codes))))


def programs(by_column: Sequence[Sequence[CaseResult]]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return the programs of a row: name, section, and of each column the symbols of its marks, "" where it is not."""
    found: dict[str, tuple[str, list[str]]] = {}
    for number, results in enumerate(by_column):
        for result in results[:1]:
            for name, (section, shown) in _of_cell(result).items():
                if name not in found and len(found) < _MOST_PROGRAMS:
                    found[name] = (section, [""] * len(by_column))
                if name in found:
                    found[name][1][number] = shown
    return tuple((printable(name), printable(section), tuple(shown)) for name, (section, shown) in found.items())


def _of_cell(result: CaseResult) -> dict[str, tuple[str, str]]:
    """Return section and marks of each program of a result."""
    wrong = {(p.get("stage", ""), p.get("program", "")) for p in result.get("problems", [])}
    found: dict[str, tuple[str, list[str]]] = {}
    for at, stage in enumerate(STAGES):
        for program in result.get("stages", {}).get(stage, {}).get("programs", []):
            name = program.get("name", "?")
            _, shown = found.setdefault(name, (program.get("section", ""), [marks.NOT_REACHED.symbol] * 3))
            mark = _of_program(program, (stage, name) in wrong)
            shown[at] = mark.symbol
    return {name: (section, "".join(shown)) for name, (section, shown) in found.items()}


def _of_program(program: wire.ProgramRecord, wrong: bool) -> Mark:
    if wrong:
        return marks.FAILED
    if program.get("status") == wire.FAILED:
        return marks.EXPECTED
    return {wire.PASSED: marks.PASSED, wire.SKIPPED: marks.SKIPPED}.get(program.get("status", ""), marks.NOT_REACHED)


def _spoken(mark: Mark) -> str:
    return "refused as expected" if mark is marks.EXPECTED else "broke" if mark is marks.ERROR else mark.meaning


def blank(head: Head) -> str:
    """Return what stands in a cell without a result."""
    return columns.empty(head.column)


def legend(of: Iterable[Row]) -> list[Mark]:
    """Return the marks that occur, in the order of their table."""
    used: dict[str, Mark] = {}
    symbols = {mark.symbol: mark for mark in CLASSES}
    for row in of:
        for cells in row.cells:
            used.update((mark.symbol, mark) for cell in cells for mark in cell.shown)
        for _, _, shown in row.programs:
            used.update((symbol, symbols[symbol]) for symbol in "".join(shown))
    first = [used[symbol] for symbol in symbols if symbol in used]
    return first + [mark for symbol, mark in used.items() if symbol not in symbols]
