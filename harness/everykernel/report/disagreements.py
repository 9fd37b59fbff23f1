"""Where the loaders of a run disagree: who refuses what another takes, why, and by which known rule.

An object that a loader does not open is one disagreement, not one for each of its programs; one that it does not load
as a whole is one of its own only where it takes each of the programs. A verdict that a guest or the harness broke is
none, and disagrees with nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from everykernel import wire
from everykernel.loaders import differences
from everykernel.loaders.differences import Kind
from everykernel.loaders.names import OWN
from everykernel.matrix import records
from everykernel.matrix.records import CaseResult
from everykernel.report import blocks, columns

WHOLE = ""  # in the place of a program's name: the object does not even open
TOGETHER = "(whole)"  # likewise: its programs are taken one by one, and not all at once
NO_PROGRAM = "no such program"
_OBJECT = {WHOLE: "the object", TOGETHER: "all programs together"}
_LOG = 3  # last lines of a verifier's log that count as what is said
_NAMED, _SAID = 6, 200  # rows that a line names, characters of what is said
_UNEXPLAINED = 20  # refusals without a known rule that are shown whole


@dataclass(frozen=True)
class Refusal:
    """One loader that refuses what others take.

    Attributes:
        row: the case or object.
        kernel: the spec.
        program: its name, `WHOLE` or `TOGETHER` for the object.
        loader: who refuses.
        takes: who takes it.
        says: all that is said of it; the first line is for people.
        kind: the known rule, None where none is.
    """

    row: str
    kernel: str
    program: str
    loader: str
    takes: frozenset[str]
    says: str
    kind: Kind | None


@dataclass
class _Verdicts:
    """What one loader made of an object: what it says of each program and of the whole, "" where it takes it."""

    unopened: str = ""
    programs: dict[str, str] = field(default_factory=dict)
    whole: str | None = None  # None: it does not say

    @property
    def taken(self) -> set[str]:
        return {name for name, says in self.programs.items() if not says}


def find(results: Sequence[CaseResult]) -> list[Refusal]:
    """Return every refusal of what another loader takes, on the same kernel, machine and BTF."""
    together: dict[tuple[str, ...], dict[str, CaseResult]] = {}
    for result in results:
        if result.get("outcome") != records.ERROR:
            machine = json.dumps(result.get("machine"), sort_keys=True, default=str)
            place = (records.title(result), result.get("kernel", "?"), str(result.get("sha256")), machine)
            together.setdefault(place, {})[result.get("loader", OWN)] = result
    found: list[Refusal] = []
    for (row, kernel, *_), by_loader in together.items():
        if len(by_loader) > 1:
            verdicts = {name: _verdicts(result) for name, result in by_loader.items()}
            found.extend(_refusals(row, kernel, verdicts))
    return found


def _refusals(row: str, kernel: str, verdicts: Mapping[str, _Verdicts]) -> Iterator[Refusal]:
    def refusal(program: str, loader: str, takes: frozenset[str], says: str) -> Refusal:
        return Refusal(row, kernel, program, loader, takes, says, differences.explain(loader, says, takes))

    useful = frozenset(name for name, one in verdicts.items() if one.taken)
    opened = {name: one for name, one in verdicts.items() if not one.unopened}
    for name, one in verdicts.items():
        if one.unopened and useful:
            yield refusal(WHOLE, name, useful, one.unopened)
    for program in dict.fromkeys(p for one in opened.values() for p in one.programs):
        takes = frozenset(name for name, one in opened.items() if program in one.taken)
        for name, one in opened.items():
            if takes and name not in takes:
                yield refusal(program, name, takes, one.programs.get(program, NO_PROGRAM))
    together = frozenset(name for name, one in opened.items() if one.whole == "" and one.taken)
    for name, one in opened.items():
        if one.whole and together and one.taken == set(one.programs):
            yield refusal(TOGETHER, name, together, one.whole)


# -------------------------------------------------------------------------------------------------- from the records


def _verdicts(result: CaseResult) -> _Verdicts:
    """Return what the loader of a result made of its object."""
    stages = result.get("stages", {})
    relocate: wire.Stage = stages.get("relocate", {})
    load: wire.Stage = stages.get("load", {})
    programs = load.get("programs", [])
    failed = next((stage for stage in (relocate, load) if stage.get("status") == wire.FAILED), None)
    if not programs and failed is not None:
        return _Verdicts(_says(failed.get("code", ""), failed.get("message", "")))
    refused = {p.get("name", ""): p for p in relocate.get("programs", []) if p.get("status") == wire.FAILED}
    found = _Verdicts(whole=_of_whole(load))
    for program in programs:
        name = program.get("name", "")
        told = refused.get(name, program) if program.get("status") == wire.NOT_REACHED else program
        taken = program.get("status") == wire.PASSED
        found.programs[name] = "" if taken else _of_program(told, load.get("maps", []))
    return found


def _of_whole(load: wire.Stage) -> str | None:
    whole = load.get("whole")
    if not whole:
        return None
    return "" if whole["status"] == wire.PASSED else _says(whole["code"], f"{whole['errno'] or ''} {whole['message']}")


def _of_program(program: wire.ProgramRecord, maps: Sequence[wire.MapRecord]) -> str:
    """Return all that is said of a program that was refused, with the maps that were and the end of its log."""
    message = program.get("message", "")
    parts = [_says(program.get("code", ""), message, program.get("section", ""))]
    for one in maps:
        if one.get("status") == wire.FAILED and f"'{one.get('name')}'" in message:
            sizes = f"{one.get('key_size')} {one.get('value_size')} {one.get('max_entries')}"
            parts.append(f"map {one.get('type')} {sizes}: {one.get('errno')}: {one.get('message')}")
    log = [line for line in program.get("log", "").splitlines() if line.strip()]
    tail = [line for line in log if not line.startswith(("processed ", "verification time"))][-_LOG:]
    return "\n".join([*parts, *tail])


def _says(code: str, message: str, section: str = "") -> str:
    return f"{code}: {message}{f' (section {section})' if section else ''}"


# ------------------------------------------------------------------------------------------------------------ telling


def lines(found: Sequence[Refusal], labels: Mapping[str, str], kernels: Sequence[str]) -> list[list[str]]:
    """Return a block of printable lines for each rule in which loaders differ, those that explain most first.

    What no rule explains comes last, each refusal by itself.

    Args:
        found: the refusals.
        labels: what each row is called.
        kernels: the specs, in order.
    """
    groups: dict[tuple[str, str], list[Refusal]] = {}
    for refusal in found:
        if refusal.kind is not None:
            groups.setdefault((refusal.kind.name, refusal.loader), []).append(refusal)
    shown = []
    for (_, loader), group in sorted(groups.items(), key=lambda item: -len(item[1])):
        kind = group[0].kind
        assert kind is not None
        takes = ", ".join(sorted({name for refusal in group for name in refusal.takes}))
        head = f"{loader} refuses, {takes} take{'' if ',' in takes else 's'}: {kind.title} ({kind.name})"
        shown.append([blocks.short(line) for line in (head, f"  {_count(group, labels, kernels)}", f"  {kind.why}")])
    unexplained = [refusal for refusal in found if refusal.kind is None]
    for refusal in unexplained[:_UNEXPLAINED]:
        what = f"program {refusal.program}" if _of_a_program(refusal) else _OBJECT[refusal.program]
        where = f"{labels.get(refusal.row, refusal.row)} on {refusal.kernel}"
        head = f"not explained: {refusal.loader} refuses {what} of {where}, {', '.join(sorted(refusal.takes))} take it"
        said = [f"  {line[:_SAID]}" for line in refusal.says.splitlines()]
        shown.append([blocks.short(line) for line in (head, *said)])
    if len(unexplained) > _UNEXPLAINED:
        shown.append([f"not explained: {len(unexplained) - _UNEXPLAINED} more"])
    return shown


def summary(found: Sequence[Refusal]) -> str:
    """Return the line that counts them."""
    if not found:
        return "the loaders agree: whatever one takes, all take"
    kinds = {refusal.kind.name for refusal in found if refusal.kind is not None}
    unexplained = sum(refusal.kind is None for refusal in found)
    programs = sum(map(_of_a_program, found))
    objects = len(found) - programs
    refused = f"{programs} refusals of programs" if programs != 1 else "1 refusal of a program"
    told = f"{refused} and {f'{objects} of objects' if objects != 1 else '1 of an object'} that another loader takes"
    return f"{told}, by {len(kinds)} known rule{'' if len(kinds) == 1 else 's'}; {unexplained} not explained"


def _of_a_program(refusal: Refusal) -> bool:
    return refusal.program not in _OBJECT


def _count(group: Sequence[Refusal], labels: Mapping[str, str], kernels: Sequence[str]) -> str:
    programs = {(refusal.row, refusal.program) for refusal in group if _of_a_program(refusal)}
    rows = dict.fromkeys(labels.get(refusal.row, refusal.row) for refusal in group)
    specs = ", ".join(columns.ranges(list(dict.fromkeys(refusal.kernel for refusal in group)), kernels))
    what = f"{len(programs)} program{'' if len(programs) == 1 else 's'} of " if programs else ""
    count = f"{len(rows)} object{'' if len(rows) == 1 else 's'}"
    return f"{what}{count} on {specs}: {blocks.names(rows, _NAMED)}"
