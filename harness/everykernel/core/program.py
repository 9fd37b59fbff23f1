"""Programs of an object relocated as libbpf relocates them: one that is loaded alone, or several with one memory.

The records of the programs' own functions and of every subprogram take part, in the order of .BTF.ext; one that
fails, fails the programs, as it does in libbpf, which stops there. The records behind it are computed all the same, for
people.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional

from everykernel.btf.naming import printable
from everykernel.core.compute import Session, compute
from everykernel.core.fixup import FAILED, Fixup, apply
from everykernel.core.patch import SIZE, length

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from everykernel import wire
    from everykernel.btf.ext import CoreRecord
    from everykernel.object.spec import Function, ObjectSpec, ProgramSpec


class Applied(NamedTuple):
    """A fixup and where it belongs: instruction ``insn`` (an index) of a function."""

    function: Function
    insn: int
    fixup: Fixup

    def describe(self) -> wire.Relocation:
        """Return the record of this relocation."""
        function, insn, fixup = self
        found: wire.Relocation = {
            "section": printable(function.section),
            "program": printable(function.name),
            "index": fixup.index,
            "insn": insn,
            "kind": fixup.kind,
            "access": fixup.access,
            "local": fixup.local,
            "target": fixup.target,
            "outcome": fixup.outcome,
            "candidates": list(fixup.candidates),
            "message": fixup.message,
        }
        if fixup.old is not None:
            found["old"] = fixup.old
        if fixup.new is not None:
            found["new"] = fixup.new
        if fixup.mem_size is not None:
            found["mem_size"] = fixup.mem_size
        return found


class RelocatedProgram(NamedTuple):
    """The outcome for one program, or for several together.

    Attributes:
        code: the instructions, by name, of each function that has records (of no use if one failed).
        applied: every record's fixup in libbpf's order.
        failed: the first that failed, None if none did.
    """

    code: dict[str, bytes]
    applied: list[Applied]
    failed: Optional[Applied]


def relocate_program(spec: ObjectSpec, program: ProgramSpec, session: Session) -> RelocatedProgram:
    """Relocate a program's functions; ``session`` is of this object and target, and may have served other programs."""
    return relocate_together(spec, [program], session)


def relocate_together(spec: ObjectSpec, programs: Iterable[ProgramSpec], session: Session) -> RelocatedProgram:
    """Relocate the functions of several programs with one memory of candidates, as libbpf does for a whole object.

    What a record of one program rules out is not considered for the next. `Session.narrowed` tells whether anything
    was ruled out at all: where nothing was, each program comes out as by itself.
    """
    session.again()
    codes: dict[str, bytearray] = {}
    applied: list[Applied] = []
    entries = spec.functions if session.manner.everything else {program.function for program in programs}
    for function, index, record in _records(spec, entries):
        code = codes.setdefault(function.name, bytearray(function.code))
        insn, rest = divmod(record.insn_off - function.start, SIZE)
        at = insn * SIZE
        given = bytes(code[at : at + length(bytes(code[at : at + 1]))]) if not rest else b""
        fixup = compute(record, index, session.local, session.target, given, session)
        applied.append(Applied(function, insn, fixup))
        if fixup.outcome != FAILED:
            apply(fixup, code, insn)
    failed = next((a for a in applied if a.fixup.outcome == FAILED), None)
    return RelocatedProgram({name: bytes(code) for name, code in codes.items()}, applied, failed)


def _records(spec: ObjectSpec, entries: Container[str]) -> Iterator[tuple[Function, int, CoreRecord]]:
    for section in spec.core_sections:
        for function in spec.by_section.get(section, ()):
            if function.name in entries or section == spec.shared_section:
                for index, record in function.core:
                    yield function, index, record
