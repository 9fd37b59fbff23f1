"""Relocate an object as we do and as libbpf does, and compare every program's instructions and refusals."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from tests.conformance.libbpf import Verdict

from everykernel import core
from everykernel.load.link import reached
from everykernel.object.spec import CALL, DATA, EXTERN, EXTERN_CALL, FUNCTION, MAP, ObjectSpec, ProgramSpec


@dataclass
class Tally:
    """What was compared, and where the two differ.

    Attributes:
        outcomes: relocations by outcome (patched, poisoned, failed), of programs that were compared.
        programs: programs compared.
        left_out: programs or objects that could not be compared, by reason.
        differences: one line each.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    programs: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ours:
    """Our relocation of one program: its linked code, or the record that failed first."""

    code: bytes
    loose: frozenset[int]  # instructions whose immediate belongs to the loader: map descriptors, call distances
    failed: tuple[str, int] | None
    outcomes: Counter[str]


def ours(spec: ObjectSpec, program: ProgramSpec, target: core.Target) -> Ours:
    """Relocate one program and what belongs to it, and lay its functions out as the loader does."""
    assert spec.btf is not None
    done = core.relocate_program(spec, program, core.Session(spec.btf, target))
    if done.failed is not None:  # libbpf stops there
        upto = done.applied[: done.applied.index(done.failed) + 1]
        failed = (done.failed.function.name, done.failed.fixup.index)
        return Ours(b"", frozenset(), failed, Counter(applied.fixup.outcome for applied in upto))
    outcomes = Counter(applied.fixup.outcome for applied in done.applied)
    image = bytearray()
    loose: set[int] = set()
    for function in reached(spec.functions[program.function], spec.functions):
        for reference in function.references:
            loose.update(_loose(len(image) // 8 + reference.insn, reference.kind))
        image += done.code.get(function.name, function.code)
    return Ours(bytes(image), frozenset(loose), None, outcomes)


def _loose(insn: int, kind: str) -> tuple[int, ...]:
    if kind in (MAP, DATA, EXTERN, FUNCTION):
        return (insn, insn + 1)
    return (insn,) if kind in (CALL, EXTERN_CALL) else ()


def compare(spec: ObjectSpec, verdicts: list[Verdict], target: core.Target, tally: Tally, where: str) -> None:
    """Compare our relocation of every program with libbpf's verdicts; add what was found to the tally."""
    if spec.byteorder != "little":
        tally.left_out["object of another byte order: libbpf swaps its code"] += 1
        return
    theirs = {(v.program, v.section.removeprefix("?")): v for v in verdicts}
    for program in spec.programs:
        verdict = theirs.get((program.name, program.section))
        if verdict is None:
            tally.differences.append(f"{where}: {program.name}: libbpf has no such program")
            continue
        if verdict.errno and verdict.failed is None:
            tally.left_out[f"libbpf stops elsewhere: {_last_words(verdict)}"] += 1
            continue
        mine = ours(spec, program, target)
        tally.programs += 1
        tally.outcomes.update(mine.outcomes)
        difference = _difference(mine, verdict)
        if difference:
            tally.differences.append(f"{where}: {program.name}: {difference}")


def _last_words(verdict: Verdict) -> str:
    """Return libbpf's last debug line, which says why it stopped, without names of one object."""
    last = next((line for line in reversed(verdict.log) if "skipping optional" not in line), f"errno {verdict.errno}")
    return re.sub(r"'[^']*'|\[\d+\]|#\d+", "…", last.removeprefix("libbpf: "))


def _difference(mine: Ours, verdict: Verdict) -> str:
    """Return how the two differ, "" if they do not."""
    if mine.failed != verdict.failed:
        return f"first refused record: ours {mine.failed}, libbpf's {verdict.failed}"
    if mine.failed:
        return ""
    if len(mine.code) != len(verdict.code):
        return f"{len(mine.code) // 8} instructions, libbpf has {len(verdict.code) // 8}"
    for insn in range(len(mine.code) // 8):
        a, b = mine.code[insn * 8 : insn * 8 + 8], verdict.code[insn * 8 : insn * 8 + 8]
        if a != b and not (insn in mine.loose and _same_but_immediate(a, b)):
            return f"instruction {insn}: {a.hex()}, libbpf has {b.hex()}"
    return ""


def _same_but_immediate(a: bytes, b: bytes) -> bool:
    """Whether two instructions differ in source register and immediate alone, which name a map, a call or a symbol."""
    return a[0] == b[0] and a[1] & 0x0F == b[1] & 0x0F and a[2:4] == b[2:4]
