"""Programs of an object relocated as libbpf relocates them: one that is loaded alone, or several with one memory.

The records of the programs' own functions and of every subprogram take part, in the order of .BTF.ext; one that
fails, fails the programs, as it does in libbpf, which stops there. The records behind it are computed all the same, for
people.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf.naming import printable
from everykernel.core import best
from everykernel.core.compute import Session, compute
from everykernel.core.fixup import FAILED, Fixup, apply
from everykernel.core.patch import SIZE, length
from everykernel.core.refusal import Refused
from everykernel.core.relokinds import TYPE_ID_LOCAL
from everykernel.errors import BtfMalformed
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from everykernel import wire
    from everykernel.btf.ext import CoreRecord
    from everykernel.core.candidates import Candidate
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


def relocate_program(
    spec: ObjectSpec, program: ProgramSpec, session: Session, parts: Optional[Sequence[Function]] = None
) -> RelocatedProgram:
    """Relocate a program's functions; ``session`` is of this object and target, and may have served other programs.

    ``parts`` are the functions that it is linked from, to which some loaders keep.
    """
    if not session.manner.agree:
        return _relocate_best(parts or [spec.functions[program.function]], session)
    return relocate_together(spec, [program], session)


def _relocate_best(parts: Sequence[Function], session: Session) -> RelocatedProgram:
    """Relocate linked functions where the best candidate wins; what one record fails, fails all of its type."""
    groups: dict[int, list[tuple[int, CoreRecord]]] = {}
    chosen: dict[int, dict[int, tuple[best.Outcome, tuple[Candidate, ...]]]] = {}
    refused: dict[int, Refused] = {}
    for function in parts:
        for index, record in function.core:
            groups.setdefault(record.type_id, []).append((index, record))
    for number, records in groups.items():
        others = [one for one in records if one[1].kind != TYPE_ID_LOCAL]
        chosen[number] = {id(r): (best.local_id(r), ()) for _, r in records if r.kind == TYPE_ID_LOCAL}
        try:
            found = best.choose(session, others) if others else []
            chosen[number].update({id(record): one for (_, record), one in zip(others, found)})
        except Refused as e:
            refused[number] = e
        except BtfMalformed as e:
            refused[number] = Refused(str(e), "object-malformed" if e.where.startswith(session.local.name) else e.code)
    codes: dict[str, bytearray] = {}
    applied: list[Applied] = []
    for function in parts:
        for index, record in function.core:
            code = codes.setdefault(function.name, bytearray(function.code))
            insn, given = _instruction(function, record, code)
            if record.type_id in refused:
                fixup = best.failed(session, record, index, refused[record.type_id])
            else:
                fixup = best.fixup(session, record, index, given, chosen[record.type_id][id(record)])
            applied.append(Applied(function, insn, fixup))
            if fixup.outcome != FAILED:
                apply(fixup, code, insn)
    return _outcome(codes, applied)


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
        insn, given = _instruction(function, record, code)
        fixup = compute(record, index, session.local, session.target, given, session)
        applied.append(Applied(function, insn, fixup))
        if fixup.outcome != FAILED:
            apply(fixup, code, insn)
    return _outcome(codes, applied)


def _instruction(function: Function, record: CoreRecord, code: bytearray) -> tuple[int, bytes]:
    """Return the index of a record's instruction in its function, and the instruction as it is now."""
    insn, rest = divmod(record.insn_off - function.start, SIZE)
    at = insn * SIZE
    return insn, bytes(code[at : at + length(bytes(code[at : at + 1]))]) if not rest else b""


def _outcome(codes: dict[str, bytearray], applied: list[Applied]) -> RelocatedProgram:
    failed = next((a for a in applied if a.fixup.outcome == FAILED), None)
    return RelocatedProgram({name: bytes(code) for name, code in codes.items()}, applied, failed)


def _records(spec: ObjectSpec, entries: Container[str]) -> Iterator[tuple[Function, int, CoreRecord]]:
    for section in spec.core_sections:
        for function in spec.by_section.get(section, ()):
            if function.name in entries or section == spec.shared_section:
                for index, record in function.core:
                    yield function, index, record
