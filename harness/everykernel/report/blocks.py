"""The block of one cell that did not pass: reason code, line, evidence, and the command that runs it again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from everykernel import wire
from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult
from everykernel.reasons import REASONS

_WIDE = 400  # characters of a piece of evidence that are shown
_CONTROL = re.compile(r"[^\t\n\x20-\x7e\xa0-\U0010ffff]")  # what an object's names may do to a terminal
_TAIL = 12  # lines of a log or console that are shown; the whole is in the report folder


def lines(result: CaseResult, *, console: str = "", trace: str = "", verbose: int = 0) -> list[str]:
    """Return the block's lines, the first of which says it all.

    Args:
        result: a cell that did not pass.
        console: its console, the last lines of which are evidence where the guest broke.
        trace: the traceback of a defect of the harness, shown from ``-v`` on.
        verbose: 0 shows the last lines of logs, 2 shows them whole.
    """
    stage, code = result.get("stage", ""), result.get("code", "")
    title = f"{records.row(result)} on {result.get('kernel')}"
    at = f": {stage}" if stage else ""
    found = [f"{title}{at}: {code}: {result.get('message', '')}"]
    keep = _keep(verbose)
    found.extend(_state(result))
    found.extend(_problems(result, keep))
    found.extend(_maps(result.get("stages", {}), found))
    found.extend(_evidence(result))
    for warning in result.get("warnings", []):
        found.append("  kernel warning:")
        found.extend(tail(warning, keep))
    if console and records.broke(result):
        found.append("  console, last lines:")
        found.extend(tail(console, keep))
    if trace and verbose:
        found.append("  traceback:")
        found.extend(tail(trace, 10**9))
    if code in REASONS:
        found.append(f"  hint: {REASONS[code].remedy}")
    if result.get("evidence"):
        found.append(f"  evidence: {result['evidence']}")
    if result.get("again"):
        found.append(f"  again: {result['again']}")
    return [_CONTROL.sub(lambda c: c[0].encode("unicode_escape").decode(), line) for line in found]


def _problems(result: CaseResult, keep: int) -> list[str]:
    """Return the evidence of all problems; what several programs failed for is said once, the first in the title."""
    groups: dict[tuple[str, str, str], list[records.ProblemRecord]] = {}
    for problem in result.get("problems", []):
        why = problem.get("message", "").removeprefix(f"program {problem.get('program', '')!r}: ")
        groups.setdefault((problem.get("stage", ""), problem.get("code", ""), why), []).append(problem)
    found: list[str] = []
    for number, ((stage, code, why), members) in enumerate(groups.items()):
        names = ", ".join(p["program"] for p in (members if number else members[1:]) if p.get("program"))
        if number:
            found.append(f"  also {stage}: {code}: {names}{': ' if names else ''}{why}")
        elif names:
            found.append(f"  for the same reason: {names}")
        for problem in members:
            found.extend(_program(result, problem, keep, told=why))
    return found


def of_stages(stages: dict[str, wire.Stage], *, verbose: int = 0) -> list[str]:
    """Return the evidence for stages that failed, each program and map of them, for a test that loaded an object."""
    part: CaseResult = {"stages": stages}
    found = []
    for name, stage in stages.items():
        if stage.get("status") == wire.FAILED:
            problem: records.ProblemRecord = {"stage": name, "code": stage.get("code", "")}
            found.extend(_program(part, problem, _keep(verbose)))
    return found + _maps(stages, found)


def _keep(verbose: int) -> int:
    return 10**9 if verbose > 1 else _TAIL


def _state(result: CaseResult) -> list[str]:
    """Return one line with the state of each stage."""
    parts = []
    for name in STAGES:
        stage = result.get("stages", {}).get(name, {})
        code = f" ({stage['code']})" if stage.get("code") else ""
        parts.append(f"{name} {stage.get('status', wire.NOT_REACHED)}{code}")
    used = f"   BTF: {result['btf']}" if result.get("btf") else ""
    return ["  " + "   ".join(parts) + used]


def _program(result: CaseResult, problem: records.ProblemRecord, keep: int, *, told: str = "") -> list[str]:
    """Return the evidence for what a problem says about a program, or about all that failed in its stage.

    ``told`` is a line above, which is not said again.
    """
    name, stage = problem.get("program", ""), result.get("stages", {}).get(problem.get("stage", ""), {})
    found = []
    for program in stage.get("programs", []):
        if program.get("status") != wire.FAILED or (name and program.get("name") != name):
            continue
        message, log = program.get("message", ""), program.get("log", "")
        new = message not in told
        if new or log:
            found.append(f"  {program.get('name')} ({program.get('section', '')}): {message if new else 'its log'}")
        if log:
            found.extend(tail(log, keep))
    for relocation in _unresolved(result, name, problem):
        text = (
            f"{relocation.get('kind')} {relocation.get('access')}: "
            f"{relocation.get('message') or relocation.get('outcome')}"
        )
        if not any(text in line for line in (told, *found)):
            found.append(f"  {relocation.get('program', '')} insn {relocation.get('insn')}: {text}")
    return found


def _maps(stages: Mapping[str, wire.Stage], said: Sequence[str]) -> list[str]:
    """Return a line for each map that was refused, but for those that a line before tells of."""
    messages = [m.get("message", "") for m in stages.get("load", {}).get("maps", []) if m.get("status") == wire.FAILED]
    return [f"  {message}" for message in messages if not any(message in line for line in said)]


def _unresolved(result: CaseResult, program: str, problem: records.ProblemRecord) -> list[wire.Relocation]:
    """Return the relocations that explain a problem: those that failed, or are poisoned and were reached."""
    if problem.get("code") not in ("relocation-unresolved", "relocation-ambiguous", "btf-missing", "btf-rejected"):
        return []
    found = [
        r
        for r in result.get("stages", {}).get("relocate", {}).get("relocations", [])
        if r.get("outcome") != "patched" and (not program or r.get("program") in (program, None))
    ]
    return found[:_TAIL]


def _evidence(result: CaseResult) -> list[str]:
    """Return what the run stage saw."""
    found = []
    for name, value in (result.get("stages", {}).get("run", {}).get("evidence") or {}).items():
        if name == "trigger":
            found.append(f"  trigger: {shlex.join(value['argv'])} ended with exit code {value['exit']}")
            found.extend(tail(value["stdout"] + value["stderr"]))
        elif value:
            found.append(f"  {name}: {str(value)[:_WIDE]}")
    return found


def tail(text: str, keep: int = _TAIL) -> list[str]:
    """Return the last lines of a log, indented, with a line that says how many are left out."""
    all_lines = text.rstrip().splitlines()
    left_out = len(all_lines) - keep
    shown = [f"    | {line}" for line in all_lines[-keep:]]
    return [f"    | … {left_out} lines before", *shown] if left_out > 0 else shown
