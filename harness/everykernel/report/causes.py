"""Why cells did not pass, each reason once: what many objects and kernels fail for alike is one block.

A cause is a stage, a reason code, and a sentence without what is particular in it: names, numbers, the instruction and
its place. Its particulars (the access, the map, the section, the instruction) are a line each, with the rows and
kernels that have them. Every cell that did not pass is named under each of its causes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from everykernel.matrix import records
from everykernel.matrix.records import CaseResult, CellReport, ProblemRecord
from everykernel.reasons import REASONS
from everykernel.report import diagnosis
from everykernel.report.blocks import names, said, short
from everykernel.report.columns import ranges
from everykernel.report.diagnosis import Diagnosis

_PARTICULARS = 3  # that are shown of a cause; cells that have another are named together
_NAMED, _PROGRAMS = 40, 2  # rows and programs that are named in a line
_LINES = 3  # of a log or console that are shown
_LOOKED_AT = 100  # lines of a log from its end
_TOLD = 36  # characters of what is said that a line has at least, where its like stands above
_REMEDY = 3  # what part of a text that is cut its remedy may take
WIDTH = 100  # characters of a line, where the screen is narrower, or nobody says how wide it is
_KEPT = 1000  # characters of what is said that are compared

# An errno that says no more than that the verifier had its reasons.
_ERRNO = re.compile(r"^E[A-Z]+: (?=\d+: \(|byte_|func|this kernel\b|[Aa]rg#)")
# What is said, and behind it where the source of the instruction is, and the line itself.
_PLACED = re.compile(r"(.*?)(?: at (?:\S*/)?([^\s/]+:\d+): (.*))?$", re.DOTALL)
# An instruction as a verifier prints it, what stands in quotes, and words, which are particular with a sign in them.
_WORD = re.compile(r"(?<!\d)\d{1,7}: \([0-9a-f]{2}\) [^:]*(?:: )?|'[^']*'|\S+")
_SIGN = re.compile(r"['\d_./#]|\(\)")
# Lines of a verifier's log that do not help: its counts, how it tracked precision, states of registers alone, source
# that is named above.
_IDLE = re.compile(
    r"processed \d+ insns\b|verification time |stack depth |last_idx |regs=|parent |Validating |; |\s*$|"
    r"(?:\d+:)? ?R\d+\w*="
)
_LOGGED = ("verifier-rejected", "load-failed")  # codes whose log says more than the line about it


@dataclass
class Particular:
    """What some cells have in common to the letter.

    Attributes:
        place: the line of source that the first of them is about, "" where none is.
        cells: the results, each once.
        programs: the programs that say it.
    """

    place: str = ""
    cells: dict[int, CaseResult] = field(default_factory=dict)
    programs: dict[str, None] = field(default_factory=dict)


@dataclass
class Cause:
    """One reason why cells did not pass.

    Attributes:
        stage: the stage, "" where a guest or the harness broke between stages.
        code: the reason code.
        particulars: by what is said.
        log: the last lines of the first log that tells of it.
        report: what the kernel reports on it, where one does.
        logged: the program that they are about.
    """

    stage: str
    code: str
    particulars: dict[str, Particular] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    report: Diagnosis | None = None
    logged: str = ""

    @property
    def cells(self) -> dict[int, CaseResult]:
        """The results that have it, each once."""
        return {key: cell for one in self.particulars.values() for key, cell in one.cells.items()}


def find(results: Sequence[CaseResult], reports: Sequence[CellReport] = ()) -> list[Cause]:
    """Return the causes of all cells that did not pass, those of the most cells first.

    ``reports`` are the cells of ``results`` with their consoles, where these are known.
    """
    consoles = {id(report["result"]): report.get("console", "") for report in reports}
    found: dict[tuple[str, str, str], Cause] = {}
    for result in results:
        if result.get("outcome") == records.PASSED:
            continue
        whole: ProblemRecord = {key: result.get(key, "") for key in ("stage", "code", "message")}  # type: ignore[assignment]
        logs = _logs(result)
        for problem in result.get("problems") or [whole]:
            text, place, line = _PLACED.match(_ERRNO.sub("", said(problem)[:_KEPT])).groups(default="")  # type: ignore[union-attr]
            key = (problem.get("stage", ""), problem.get("code", ""), shape(text))
            cause = found.setdefault(key, Cause(key[0], key[1]))
            one = cause.particulars.setdefault(text, Particular(f" at {place}: {line}" if place else ""))
            one.cells[id(result)] = result
            one.programs.setdefault(problem.get("program", ""))
            log = logs.get((key[0], problem.get("program", "")), "") if key[1] in _LOGGED else ""
            if records.broke(result):
                log = consoles.get(id(result), "")
            before, report = diagnosis.split(log)
            if log and (not cause.log or (report is not None and cause.report is None)):
                cause.log = [line for line in before.rstrip().split("\n")[-_LOOKED_AT:] if not _IDLE.match(line)]
                cause.report, cause.logged = report, problem.get("program", "")
    return sorted(found.values(), key=lambda cause: -len(cause.cells))


def lines(
    found: Sequence[Cause], labels: Mapping[str, str], kernels: Sequence[str], width: int = WIDTH
) -> list[list[str]]:
    """Return a block of printable lines for each cause, the first of which says most.

    What to do is said once a code, where the whole log or console is once a cell. What is said first may take two lines
    of the screen, its likes and a log's lines one each; the whole is in results.json. Rows are all named.

    Args:
        found: the causes.
        labels: what each row is called.
        kernels: the columns, in order.
        width: characters of the screen's lines.
    """
    told: set[str] = set()
    shown = []
    for cause in found:
        block = _block(cause, labels, kernels, width)
        if cause.code in REASONS and cause.code not in told:
            block.append(f"  hint: {REASONS[cause.code].remedy}")
        evidence = next((cell["evidence"] for cell in cause.cells.values() if cell.get("evidence")), None)
        if evidence and cause.log and evidence not in told:
            block.append(f"  evidence: {evidence}")
        told.update((cause.code, evidence or ""))
        shown.append([short(line) for line in block])
    return shown


def again(found: Sequence[Cause]) -> str:
    """Return the command that runs one of the cells again, printable; "" where none is known."""
    return short(next((cell["again"] for cause in found for cell in cause.cells.values() if cell.get("again")), ""))


def _block(cause: Cause, labels: Mapping[str, str], kernels: Sequence[str], width: int) -> list[str]:
    """Return what a cause says, of which rows and kernels, and the end of its log."""
    number = len(cause.cells)
    count = f"({number} cell{'' if number == 1 else 's'})"
    head = f"{cause.stage}: {cause.code}" if cause.stage else cause.code
    particulars = alike(cause.particulars)
    every = [(f"  {text}{one.place}", *where(one, labels, kernels)) for text, one in particulars.items()]
    most = _PARTICULARS if len(every) > _PARTICULARS + 1 else len(every)
    if len(every) == 1:
        text = _brief(f"{head}: {every[0][0].strip()}", 2 * width - len(count) - 1)
        found = [f"{text} {count}", f"  {every[0][1]}{every[0][2]}"]
    else:
        found = [f"{head} {count}"]
        (text, cells, programs), *likes = every[:most]
        found += _said(text, cells + programs, width, len(text), 2 * width)
        for text, cells, programs in likes:
            room = width - len(cells + programs) - 2 >= _TOLD
            found += _said(text, cells + (programs if room else ""), width, _TOLD, width)
    if len(every) > most:
        rest = list(particulars.values())[most:]
        others = Particular("", {key: cell for one in rest for key, cell in one.cells.items()})
        found.append(f"  … and {len(rest)} more like it: {where(others, labels, kernels)[0]}")
    told = next(iter(cause.particulars))
    new = [line for line in cause.log if line.strip() not in told]
    shown = new[-_LINES:] if cause.report is None else cause.report.lines(1)
    fits = width if cause.report is None else 2 * width  # the kernel's sentences are long ones
    if shown and len(every) > 1:
        found.append(f"  {cause.logged}, its log:")
    return found + [_brief(f"    | {line}", fits) for line in shown]


def alike(particulars: Mapping[str, Particular]) -> dict[str, Particular]:
    """Return the particulars, those of the very same cells as one: the first, with the programs of all of them."""
    alike: dict[tuple[int, ...], list[str]] = {}
    for text, one in particulars.items():
        alike.setdefault(tuple(one.cells), []).append(text)
    found = {}
    for first, *others in alike.values():
        one = particulars[first]
        more = f" (and {len(others)} more like it)" if others else ""
        programs = {name: None for text in (first, *others) for name in particulars[text].programs}
        found[first] = Particular(one.place + more, one.cells, programs)
    return found


def _said(text: str, cells: str, width: int, least: int, most: int) -> list[str]:
    """Return what is said, and where: in one line if ``least`` characters of it fit, else ``most`` of it and a line."""
    room = width - len(cells) - 2
    if room >= min(len(text), least):
        return [f"{_brief(text, room)}: {cells}"]
    return [_brief(text, most), f"      {cells}"]


def shape(text: str) -> str:
    """Return a sentence without what is particular in it, so that sentences of one kind are equal."""
    return _WORD.sub(lambda word: "·" if _SIGN.search(word[0]) else word[0], text)


def _brief(text: str, most: int) -> str:
    """Return a text in ``most`` characters at most, what to do in brackets at its end among them if that is short."""
    if len(text) <= most:
        return text
    end = text[text.rfind(" [") :] if text.endswith("]") and " [" in text else ""
    end = end if len(end) <= most // _REMEDY else ""
    return f"{text[: most - 1 - len(end)]}…{end}"


def _logs(result: CaseResult) -> dict[tuple[str, str], str]:
    """Return the logs of programs that failed, by stage and name."""
    return {
        (name, program.get("name", "")): program["log"]
        for name, stage in result.get("stages", {}).items()
        for program in stage.get("programs", [])
        if program.get("log") and program.get("status") == "failed"
    }


def where(one: Particular, labels: Mapping[str, str], kernels: Sequence[str], named: int = _NAMED) -> tuple[str, str]:
    """Return rows and kernels in words, ``5.10..6.12: a, b; 7.3: c``, and programs where there is one row: `` (p, q)``.

    Args:
        one: what they have in common.
        labels: what each row is called.
        kernels: the columns, in order.
        named: how many rows are named; the others are counted.
    """
    by_row: dict[str, dict[str, None]] = {}
    for cell in one.cells.values():
        by_row.setdefault(records.row(cell), {}).setdefault(records.column(cell))
    by_kernels: dict[str, list[str]] = {}
    for row, of in by_row.items():
        by_kernels.setdefault(", ".join(ranges(list(of), kernels)), []).append(labels.get(row, row))
    parts = [f"{of}: {names(rows, named)}" for of, rows in by_kernels.items()]
    programs = [program for program in one.programs if program]
    told = ", ".join(programs) if len(programs) <= _PROGRAMS else f"{len(programs)} programs"
    return "; ".join(parts), f" ({told})" if told and len(by_row) == 1 else ""
