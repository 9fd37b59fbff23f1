"""What BTF is worth to each object: twins side by side, which differ in CONFIG_DEBUG_INFO_BTF alone.

What is lost is what works on the twin with BTF and not on the one without; what comes back works again where the same
kernel is relocated against a supplied BTF. Counted are programs, or the object itself where it is its run that is lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from everykernel import wire
from everykernel.kernels.twins.parts import PARTS, SOURCE, SUPPLIED, WITH, WITHOUT
from everykernel.matrix import records
from everykernel.matrix.expect import STAGES
from everykernel.matrix.records import CaseResult, KernelRecord
from everykernel.report import blocks

HEADS = {WITH: "with BTF", WITHOUT: "without", SUPPLIED: "supplied"}
_WHOLE = "its run"  # what is lost where every program works, and what they do together does not
_NAMED = 4  # programs, and objects, that a line names
_Fate = tuple[str, str]  # the stage and the code in which it ended, ("", "") where it works
_WORKS: _Fate = ("", "")


@dataclass(frozen=True)
class Row:
    """One object on a pair.

    Attributes:
        name: of the matrix's row.
        counts: by part, how many of its programs work there, and how many there are.
        lost: by program, the stage and code in which it ends without BTF.
        back: those of the lost that work with supplied BTF.
    """

    name: str
    counts: Mapping[str, tuple[int, int]]
    lost: Mapping[str, _Fate]
    back: frozenset[str]

    def shown(self, part: str) -> str:
        """Return the count of a part: ``1 of 3``; a dash for an object without programs."""
        works, of = self.counts[part]
        return f"{works} of {of}" if of else "-"


@dataclass(frozen=True)
class Picture:
    """A pair of twins, and what became of every object on them.

    Attributes:
        title: of which kernel.
        columns: by part, the matrix column; the third is there where it was asked for.
        rows: the objects that lose something without BTF.
        same: the names of those that lose nothing.
    """

    title: str
    columns: Mapping[str, str]
    rows: tuple[Row, ...]
    same: tuple[str, ...]

    @property
    def parts(self) -> list[str]:
        """The parts that were run, in order."""
        return [part for part in PARTS if part in self.columns]

    def words(self, row: Row) -> str:
        """Return what an object lost, why, and what came back."""
        names = list(row.lost)
        ends = ", ".join(f"{stage}: {code}" for stage, code in dict.fromkeys(row.lost.values()))
        told = f"{blocks.names(names, _NAMED)}: {ends}"
        if SUPPLIED not in self.columns:
            return f"lost: {told}"
        if len(row.back) == len(names):
            return f"lost, and back with supplied BTF: {told}"
        some = f"; back: {blocks.names([name for name in names if name in row.back], _NAMED)}" if row.back else ""
        return f"lost: {told}{some}"

    def summary(self) -> list[str]:
        """Return the lines below the table."""
        of, less = len(self.rows) + len(self.same), len(self.rows)
        lost, back = sum(len(row.lost) for row in self.rows), sum(len(row.back) for row in self.rows)
        if not less:
            return ["no object loses anything without BTF" if of else "no object has a verdict on both"]
        told = f"{less} of {of} object{'' if of == 1 else 's'} lose{'s' if less == 1 else ''} something without BTF"
        if SUPPLIED in self.columns:
            whole = sum(len(row.back) == len(row.lost) for row in self.rows)
            told += f"; with supplied BTF {whole} of them have all of it back, {back} of {lost} programs"
        return [told, *([f"nothing is lost of {blocks.names(self.same, 2 * _NAMED)}"] if self.same else [])]


def find(results: Sequence[CaseResult], kernels: Sequence[KernelRecord]) -> list[Picture]:
    """Return a picture for each pair among the columns of a run, in order; none where it has no pair."""
    pairs: dict[tuple[str, ...], dict[str, KernelRecord]] = {}
    for kernel in kernels:
        if kernel.get("source", "").startswith(f"{SOURCE}:") and kernel.get("flavour") in PARTS:
            same = (kernel["source"], kernel.get("package_version", ""), kernel.get("arch", ""))
            pairs.setdefault(same, {})[kernel["flavour"]] = kernel
    whole = [pair for pair in pairs.values() if WITH in pair and WITHOUT in pair]
    return [_picture(results, pair) for pair in whole]


def _picture(results: Sequence[CaseResult], pair: Mapping[str, KernelRecord]) -> Picture:
    columns = {part: pair[part]["spec"] for part in PARTS if part in pair}
    parts = {spec: part for part, spec in columns.items()}
    cells: dict[tuple[str, ...], dict[str, CaseResult]] = {}
    for result in results:
        if (part := parts.get(result.get("kernel", ""))) and result.get("outcome") != records.ERROR:
            cells.setdefault(_place(result), {})[part] = result
    rows, same = [], []
    for (name, *_), by_part in cells.items():
        if len(by_part) == len(columns):
            row = _row(name, {part: _fates(result) for part, result in by_part.items()})
            rows += [row] if row.lost else []
            same += [] if row.lost else [name]
    kernel = pair[WITH]
    return Picture(f"{kernel.get('release')} ({kernel.get('package_version')})", columns, tuple(rows), tuple(same))


def _place(result: CaseResult) -> tuple[str, ...]:
    """Return what is the same of an object's cells on twins: its row, who loads, the machine."""
    machine = {name: value for name, value in result.get("machine", {}).items() if name != "flavour"}
    return records.row(result), str(result.get("loader")), json.dumps(machine, sort_keys=True, default=str)


def _row(name: str, fates: Mapping[str, dict[str, _Fate]]) -> Row:
    """Compare what became of an object's programs on each part."""
    counts = {}
    for part, found in fates.items():
        programs = [fate for program, fate in found.items() if program != _WHOLE]
        counts[part] = (programs.count(_WORKS), len(programs))
    without, again = fates[WITHOUT], fates.get(SUPPLIED, {})
    lost = {program: without[program] for program in _lost(fates[WITH], without)}
    return Row(name, counts, lost, frozenset(program for program in lost if again.get(program) == _WORKS))


def _lost(there: Mapping[str, _Fate], here: Mapping[str, _Fate]) -> list[str]:
    """Return the programs that work there and not here; the run as a whole where none does, and it fails."""
    found = [program for program, fate in there.items() if fate == _WORKS and here.get(program, _WORKS) != _WORKS]
    programs = [program for program in found if program != _WHOLE]
    return programs or found


def _fates(result: CaseResult) -> dict[str, _Fate]:
    """Return what became of each program of a cell, and of its run."""
    stages = result.get("stages", {})
    found: dict[str, _Fate] = {}
    loaded: set[str] = set()
    for stage in STAGES:
        for program in stages.get(stage, {}).get("programs", []):
            name, status = program.get("name", "?"), program.get("status")
            if stage == "load" and status == wire.PASSED:
                loaded.add(name)
            if found.get(name, _WORKS) == _WORKS:
                found[name] = (stage, program.get("code", "")) if status == wire.FAILED else _WORKS
    ended = _ended(result)
    unloaded = ended if ended != _WORKS else ("load", "not loaded")
    fates = {name: fate if fate != _WORKS or name in loaded else unloaded for name, fate in found.items()}
    if ended == _WORKS or ended[0] == "run" or not fates:
        fates[_WHOLE] = ended
    return fates


def _ended(result: CaseResult) -> _Fate:
    """Return the first stage that failed, and its code; ``_WORKS`` where none did."""
    for name in STAGES:
        stage: wire.Stage = result.get("stages", {}).get(name, {})
        if stage.get("status") == wire.FAILED:
            return name, stage.get("code", "")
    return _WORKS
