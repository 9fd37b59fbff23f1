"""An object's instructions beside the C that they came from, and what kernels make of those that CO-RE relocates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.text import Text

from everykernel import core
from everykernel.btf.ext import LineInfo
from everykernel.errors import BtfMalformed
from everykernel.load.kernel.helpers import HELPERS
from everykernel.object import assembly
from everykernel.object.spec import CALL, DATA, INSN, MAP, Function, ObjectSpec, Reference
from everykernel.report.columns import ranges
from everykernel.report.relocations import Answer, Ask
from everykernel.report.screen import text

_NOTES = 52  # column of what an instruction refers to, counted from its text
_STYLES = {core.PATCHED: "cyan", core.POISONED: "yellow", core.FAILED: "bold red"}


class Place(NamedTuple):
    """Where an instruction came from: the file, its line (0: not known), and that line's text without indentation."""

    file: str
    line: int
    source: str


class Where(NamedTuple):
    """An instruction: the name of its function, and its index there."""

    function: str
    insn: int


@dataclass
class Record:
    """One CO-RE record: what it asks, its value in the object, and what each kernel answers.

    Attributes:
        ask: kind and access.
        local: the value in the object's BTF, None where it has none.
        answers: by kernel.
        guarded: the kernels in which no path of any program leads to the instruction.
    """

    ask: Ask
    local: int | None
    answers: dict[str, Answer] = field(default_factory=dict)
    guarded: set[str] = field(default_factory=set)


class Sources:
    """The lines of an object's C, by instruction, as its .BTF.ext tells them."""

    def __init__(self, spec: ObjectSpec) -> None:
        self._spec = spec

    def at(self, function: Function, insn: int) -> Place | None:
        """Return where an instruction came from, None where nothing says so."""
        found: LineInfo | None = None
        for info in function.line_info:
            if info.insn_off > function.start + INSN * insn:
                break
            found = info
        return Place(self._string(found.file_off), found.line, self._string(found.line_off).strip()) if found else None

    def _string(self, offset: int) -> str:
        try:
            return self._spec.btf.string(offset) if self._spec.btf is not None else ""
        except BtfMalformed:
            return ""  # the object loads without


def listing(spec: ObjectSpec, records: Mapping[Where, Sequence[Record]], kernels: Sequence[str]) -> Iterator[Text]:
    """Yield the lines of every function: C, instructions below it, and below those what is relocated.

    Args:
        spec: the object.
        records: by the instruction that they relocate, in order.
        kernels: all that were looked at, in order.
    """
    sources = Sources(spec)
    for section, functions in spec.by_section.items():
        for function in functions:
            yield Text()
            yield text(f"{section}: {function.name}", "bold")
            yield from _function(spec, function, sources, records, kernels)


def _function(
    spec: ObjectSpec,
    function: Function,
    sources: Sources,
    records: Mapping[Where, Sequence[Record]],
    kernels: Sequence[str],
) -> Iterator[Text]:
    references = {reference.insn: reference for reference in function.references}
    file, before = "", None
    for line in assembly.disassemble(function.code, spec.byteorder):
        place = sources.at(function, line.insn)
        if place is not None and place != before:
            if place.file != file:
                yield text(place.file, "dim")
            yield text(f"{place.line or '-':>6}  {place.source}".rstrip(), "green")
            file, before = place.file, place
        note = _note(line, references.get(line.insn))
        yield text(f"{line.insn:12}  {line.text:<{_NOTES}}{note}".rstrip())
        for slot in range(len(line.code) // INSN):
            for record in records.get(Where(function.name, line.insn + slot), ()):
                yield from _record(record, kernels)


def _note(line: assembly.Line, reference: Reference | None) -> str:
    """Return what an instruction refers to: a map, data, a function, a helper, another instruction."""
    if reference is not None:
        word = "" if reference.kind in (DATA, CALL) else "map " if reference.kind == MAP else f"{reference.kind} "
        return f"# {word}{reference.name}{f'+{reference.offset}' if reference.offset else ''}"
    if line.jump is not None:
        return f"# to {line.jump}"
    word, _, number = line.text.partition(" ")
    if word == "call" and number.isdigit() and int(number) < len(HELPERS):
        return f"# bpf_{HELPERS[int(number)]}"
    return ""


def _record(record: Record, kernels: Sequence[str]) -> Iterator[Text]:
    """Yield a record, and a line for each answer with the kernels that give it."""
    here = "" if record.local is None else f" {record.local}"
    yield text(f"{'':14}^ {record.ask.kind} {record.ask.access}:{here} in the object", "cyan")
    groups: dict[tuple[Answer, bool], list[str]] = {}
    for label, answer in record.answers.items():
        guarded = answer.outcome != core.PATCHED and label in record.guarded
        groups.setdefault((answer, guarded), []).append(label)
    for (answer, guarded), labels in groups.items():
        words = f"{'':16}{', '.join(ranges(labels, kernels))}: {_answer(record, answer)}"
        yield text(words + (" (no path leads there)" if guarded else ""), _STYLES[answer.outcome])


def _answer(record: Record, answer: Answer) -> str:
    if answer.outcome != core.PATCHED:
        return f"{answer.outcome}: {answer.message}"
    width = f", {answer.mem_size} bytes wide" if answer.mem_size is not None else ""
    word = "the same" if answer.target == record.local else str(answer.target)
    return f"{word}{width}"
