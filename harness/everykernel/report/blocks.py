"""The block of one cell that did not pass: reason code, line, evidence, and the command that runs it again.

What is shown is capped, what is kept is counted; each line is printable, whatever an object or a guest made of it.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

from everykernel import escaping, wire
from everykernel.escaping import printable
from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult
from everykernel.reasons import REASONS
from everykernel.report import diagnosis

_WIDE = 400  # characters of a piece of evidence that are shown
_LONG = 1000  # characters of a line that are shown
_TAIL = 12  # lines of a log or console that are shown; the whole is in the report folder
_MOST = 8  # reasons, programs, maps and warnings that are shown of a cell
_ALL = 10**9
_UNRESOLVED = ("relocation-unresolved", "relocation-ambiguous", "btf-missing", "btf-rejected")


def lines(result: CaseResult, *, console: str = "", trace: str = "", verbose: int = 0) -> list[str]:
    """Return the block's lines, the first of which says it all.

    Args:
        result: a cell that did not pass.
        console: its console, the last lines of which are evidence where the guest broke.
        trace: the traceback of a defect of the harness, shown from ``-v`` on.
        verbose: 0 shows the first reasons and the last lines of logs, 1 all reasons, 2 logs whole.
    """
    stage, code = result.get("stage", ""), result.get("code", "")
    title = f"{records.row(result)} on {records.column(result)}"
    at = f": {stage}" if stage else ""
    found = [f"{title}{at}: {code}: {result.get('message', '')}", _state(result)]
    told = _Evidence(result.get("stages", {}), verbose)
    found.extend(_problems(result, told))
    found.extend(told.maps(said(problem) for problem in result.get("problems", [])))
    found.extend(_seen(result))
    for warning in _capped(result.get("warnings", []), told.most, found, "  … and {} more kernel warnings"):
        found.append("  kernel warning:")
        found.extend(tail(warning, told.keep))
    if console and records.broke(result):
        found.append("  console, last lines:")
        found.extend(tail(console, told.keep))
    if trace and verbose:
        found.append("  traceback:")
        found.extend(tail(trace, _ALL))
    if earlier := result.get("attempts", []):
        codes = names([one.get("code") or one.get("outcome", "") for one in earlier], told.most)
        found.append(f"  attempts: {len(earlier) + 1}; before this one: {codes}")
    if code in REASONS:
        found.append(f"  hint: {REASONS[code].remedy}")
    if result.get("evidence"):
        found.append(f"  evidence: {result['evidence']}")
    if result.get("again"):
        found.append(f"  again: {result['again']}")
    return [short(line) for line in found]


def of_stages(stages: dict[str, wire.Stage], *, verbose: int = 0) -> list[str]:
    """Return the evidence for stages that failed, each program and map of them, for a test that loaded an object."""
    told = _Evidence(stages, verbose)
    found: list[str] = []
    for name, stage in stages.items():
        if stage.get("status") == wire.FAILED:
            found.extend(told.problem({"stage": name, "code": stage.get("code", "")}))
    found.extend(told.maps(told.reasons()))
    return [short(line) for line in found]


def short(line: str) -> str:
    """Return a line as it is shown: printable, and not without end."""
    more = len(line) - _LONG
    return printable(line) if more <= 0 else f"{printable(line[:_LONG])}… ({more} more characters)"


def tail(text: str, keep: int = _TAIL) -> list[str]:
    """Return the last lines of a log, indented and printable, with a line that says how many are left out."""
    text = text.rstrip()
    before = text.count("\n") + 1 - keep
    last = text.rsplit("\n", keep)[1:] if before > 0 else text.split("\n")
    shown = [f"    | {line}" for line in escaping.lines("\n".join(last))]
    return [f"    | … {before} lines before", *shown] if before > 0 else shown


def _log(log: str, keep: int) -> list[str]:
    """Return the end of a verifier's log, or what comes before the kernel's own report on it, and that in brief."""
    before, report = diagnosis.split(log) if keep < _ALL else (log, None)
    return tail(before, keep) + ([f"    | {line}" for line in report.lines()] if report is not None else [])


def said(problem: records.ProblemRecord) -> str:
    """Return what a problem says, without the name of the program that has it."""
    return problem.get("message", "").removeprefix(f"program {problem.get('program', '')!r}: ")


def names(found: Iterable[str], most: int) -> str:
    """Return names in one line, the last of many counted."""
    every = list(found)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def _capped(found: Sequence[str], most: int, into: list[str], words: str) -> Iterator[str]:
    """Yield the first ``most`` of ``found``; once they are taken, say in ``into`` how many more there are."""
    yield from itertools.islice(found, most)
    if len(found) > most:
        into.append(words.format(len(found) - most))


def _problems(result: CaseResult, told: _Evidence) -> list[str]:
    """Return the evidence of all problems; what several programs failed for is said once, the first in the title."""
    groups: dict[tuple[str, str, str], list[records.ProblemRecord]] = {}
    for problem in result.get("problems", []):
        group = (problem.get("stage", ""), problem.get("code", ""), said(problem))
        groups.setdefault(group, []).append(problem)
    found: list[str] = []
    for number, ((stage, code, why), members) in enumerate(itertools.islice(groups.items(), told.most)):
        programs = [p["program"] for p in (members if number else members[1:]) if p.get("program")]
        shown = names(programs, told.most)
        if number:
            found.append(f"  also {stage}: {code}: {shown}{': ' if shown else ''}{why}")
        elif shown:
            found.append(f"  for the same reason: {shown}")
        for problem in members[: told.most]:
            found.extend(told.problem(problem, why))
    if len(groups) > told.most:
        found.append(f"  … and {len(groups) - told.most} more reasons (in results.json, or with -v)")
    return found


def _state(result: CaseResult) -> str:
    """Return one line with the state of each stage."""
    parts = []
    for name in STAGES:
        stage = result.get("stages", {}).get(name, {})
        code = f" ({stage['code']})" if stage.get("code") else ""
        parts.append(f"{name} {stage.get('status', wire.NOT_REACHED)}{code}")
    used = f"   BTF: {result['btf']}" if result.get("btf") else ""
    return "  " + "   ".join(parts) + used


def _seen(result: CaseResult) -> list[str]:
    """Return what the run stage saw."""
    found = []
    for name, value in (result.get("stages", {}).get("run", {}).get("evidence") or {}).items():
        if name == "trigger":
            found.append(f"  trigger: {shlex.join(value['argv'])} ended with exit code {value['exit']}")
            found.extend(tail(value["stdout"] + value["stderr"]))
        elif value:
            found.append(f"  {name}: {str(value)[:_WIDE]}")
    return found


class _Evidence:
    """What stages tell of programs, relocations and maps that failed, found by name: a cell may have thousands.

    Args:
        stages: of one cell.
        verbose: from 1 on nothing is left out, from 2 on logs are whole.
    """

    def __init__(self, stages: Mapping[str, wire.Stage], verbose: int) -> None:
        self.most = _ALL if verbose else _MOST
        self.keep = _ALL if verbose > 1 else _TAIL
        self._failed: dict[tuple[str, str], list[wire.ProgramRecord]] = {}  # by stage and name, all of a stage by ""
        for stage_name, stage in stages.items():
            for program in stage.get("programs", []):
                if program.get("status") == wire.FAILED:
                    for name in {program.get("name", ""), ""}:
                        self._failed.setdefault((stage_name, name), []).append(program)
        self._relocations: dict[str, list[wire.Relocation]] = {}
        for relocation in stages.get("relocate", {}).get("relocations", []):
            if relocation.get("outcome") != "patched":
                self._relocations.setdefault(relocation.get("program") or "", []).append(relocation)
        self._maps = [m for m in stages.get("load", {}).get("maps", []) if m.get("status") == wire.FAILED]

    def problem(self, problem: records.ProblemRecord, told: str = "") -> list[str]:
        """Return the evidence for what a problem says about a program, or about all that failed in its stage.

        ``told`` is a line above, which is not said again.
        """
        name = problem.get("program", "")
        failed = self._failed.pop((problem.get("stage", ""), name), [])  # once: thousands may have one name
        found: list[str] = []
        for program in failed[: self.most]:
            message, log = program.get("message", ""), program.get("log", "")
            new = message not in told
            if new or log:
                words = message if new else "its log"
                found.append(f"  {program.get('name')} ({program.get('section', '')}): {words}")
            if log:
                found.extend(_log(log, self.keep))
        if len(failed) > self.most:
            found.append(f"  … and {len(failed) - self.most} more programs (in results.json, or with -v)")
        if problem.get("code") in _UNRESOLVED:
            found.extend(self._unresolved(name, [told, *found]))
        return found

    def reasons(self) -> Iterable[str]:
        """Yield what each program that failed says."""
        return (program.get("message", "") for program in self._failed.get(("load", ""), []))

    def _unresolved(self, program: str, told: Sequence[str]) -> list[str]:
        """Return the relocations that explain a problem: those that failed, or are poisoned and were reached."""
        own = [self._relocations.get(name, []) for name in (program, "")] if program else self._relocations.values()
        found: list[str] = []
        for r in itertools.islice(itertools.chain.from_iterable(own), _TAIL):
            text = f"{r.get('kind')} {r.get('access')}: {r.get('message') or r.get('outcome')}"
            if not any(text in line for line in (*told, *found)):
                found.append(f"  {r.get('program', '')} insn {r.get('insn')}: {text}")
        return found

    def maps(self, told: Iterable[str]) -> list[str]:
        """Return a line for each map that was refused, but for those that a reason of a program tells of."""
        known = {text.removeprefix("it needs ") for text in told}
        new = [text for text in dict.fromkeys(m.get("message", "") for m in self._maps) if text not in known]
        found: list[str] = []
        for text in _capped(new, self.most, found, "  … and {} more maps (in results.json, or with -v)"):
            found.append(f"  {text}")
        return found
