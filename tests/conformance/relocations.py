"""Relocate an object as we do and as libbpf does, and compare every program's instructions and refusals."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from tests.conformance import left_out
from tests.conformance.differences import WHOLE, Difference, Relocated
from tests.conformance.libbpf import Verdict

from everykernel import core
from everykernel.load.programs.link import reached
from everykernel.object.spec import CALL, DATA, EXTERN, EXTERN_CALL, FUNCTION, MAP, ObjectSpec, ProgramSpec

_CALL = 0x85  # BPF_JMP | BPF_CALL


@dataclass
class Tally:
    """What was compared, and where the two differ.

    Attributes:
        title: what is printed before the counts.
        reference: the version of libbpf.
        outcomes: relocations by outcome (patched, poisoned, failed), of programs that were compared.
        programs: programs compared.
        objects: objects compared whose programs, relocated together, share what they rule out.
        kernels: whose BTFs foreign objects were compared with.
        foreign: objects of others with a program that was compared, by column.
        left_out: programs or objects that cannot be compared, by a reason of left_out.py.
        uncompared: those that could not be compared for another reason, one line each.
        differences: programs, or whole objects, that come out otherwise.
    """

    title: str
    reference: str = ""
    outcomes: Counter[str] = field(default_factory=Counter)
    programs: int = 0
    objects: int = 0
    kernels: list[str] = field(default_factory=list)
    foreign: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    uncompared: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def differs(self, name: str, program: str, column: str, ours: Relocated, theirs: Relocated) -> None:
        """Note that a program of an object comes out otherwise against the types of a column."""
        self.differences.append(Difference(self.reference, name, program, column, ours, theirs))


@dataclass(frozen=True)
class Ours:
    """Our relocation of one program: its linked code, or the record that failed first."""

    code: bytes
    loose: frozenset[int]  # instructions whose immediate belongs to the loader: map descriptors, call distances
    failed: tuple[str, int] | None
    outcomes: Counter[str]


def ours(spec: ObjectSpec, program: ProgramSpec, done: core.RelocatedProgram) -> Ours:
    """Lay a program's relocated functions out as the loader does."""
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


def compare(spec: ObjectSpec, verdicts: list[Verdict] | str, target: core.Target, tally: Tally, column: str) -> bool:
    """Compare our relocation of every program with libbpf's verdicts; add what was found to the tally.

    Return whether a record ruled out a candidate, so that the programs may come out otherwise together.
    """
    if isinstance(verdicts, str):
        leave_out(verdicts, left_out.OBJECTS + left_out.UNSOUND, tally, f"{spec.name} on {column}")
        return False
    assert spec.btf is not None
    session = core.Session(spec.btf, target)
    theirs = {(v.program, v.section.removeprefix("?")): v for v in verdicts}
    for program in spec.programs:
        verdict = theirs.get((program.name, program.section))
        if verdict is None:
            tally.differs(spec.name, program.name, column, Relocated(""), Relocated("", "no such program"))
            continue
        if verdict.errno and verdict.failed is None:
            leave_out(_last_words(verdict), left_out.PROGRAMS, tally, f"{spec.name} on {column}: {program.name}")
            continue
        mine = ours(spec, program, core.relocate_program(spec, program, session))
        tally.programs += 1
        tally.outcomes.update(mine.outcomes)
        _judge(spec, program.name, column, mine, verdict, tally)
    return session.narrowed


def compare_together(spec: ObjectSpec, verdicts: list[Verdict], target: core.Target, tally: Tally, column: str) -> None:
    """Compare what the programs of an object come to with one memory of candidates with libbpf's verdicts."""
    assert spec.btf is not None
    by_name = {(p.name, p.section): p for p in spec.programs}
    pairs = [(by_name[v.program, v.section.removeprefix("?")], v) for v in verdicts]
    if not pairs:
        return
    first = pairs[0][1]
    if first.errno and first.failed is None:
        leave_out(_last_words(first), left_out.PROGRAMS, tally, f"{spec.name} on {column}: together")
        return
    done = core.relocate_together(spec, [program for program, _ in pairs], core.Session(spec.btf, target))
    tally.objects += 1
    for program, verdict in pairs:
        theirs = replace(verdict, failed=first.failed)
        _judge(spec, f"{program.name} {WHOLE}", column, ours(spec, program, done), theirs, tally)


def leave_out(words: str, among: tuple[left_out.Reason, ...], tally: Tally, where: str) -> None:
    """Count what libbpf's words give a known reason for not comparing; note anything else."""
    reason = left_out.reason(words.removeprefix("libbpf: "), among)
    if reason:
        tally.left_out[reason] += 1
    else:
        tally.uncompared.append(f"{where}: {words}")


def _last_words(verdict: Verdict) -> str:
    """Return libbpf's last debug line, which says why it stopped."""
    return next((line for line in reversed(verdict.log) if "skipping optional" not in line), f"errno {verdict.errno}")


def _judge(spec: ObjectSpec, program: str, column: str, mine: Ours, verdict: Verdict, tally: Tally) -> None:
    """Note how a program differs, if it does."""
    words = "" if mine.failed or verdict.failed else _difference(mine, verdict, spec.byteorder)
    if words or mine.failed != verdict.failed:
        here, there = (f"record {of.failed[1]} of {of.failed[0]}" if of.failed else "" for of in (mine, verdict))
        tally.differs(spec.name, program, column, Relocated(here, words), Relocated(there))


def _difference(mine: Ours, verdict: Verdict, byteorder: str) -> str:
    """Return how the instructions of the two differ, "" if they do not."""
    if len(mine.code) != len(verdict.code):
        return f"{len(mine.code) // 8} instructions, libbpf has {len(verdict.code) // 8}"
    for insn in range(len(mine.code) // 8):
        a, b = mine.code[insn * 8 : insn * 8 + 8], verdict.code[insn * 8 : insn * 8 + 8]
        if a != b and not (insn in mine.loose and _same_but_immediate(a, b, byteorder)):
            return f"instruction {insn}: {a.hex()}, libbpf has {b.hex()}"
    return ""


def _same_but_immediate(a: bytes, b: bytes, byteorder: str) -> bool:
    """Whether two instructions differ in source register and immediate alone, which name a map, a call or a symbol.

    The offset of a call belongs to the loader too: it says which module's BTF a kfunc is in.
    """
    destination = 0x0F if byteorder == "little" else 0xF0  # bit-fields of struct bpf_insn
    return a[0] == b[0] and a[1] & destination == b[1] & destination and (a[0] == _CALL or a[2:4] == b[2:4])
