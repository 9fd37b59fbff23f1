"""`Finder`: what the programs of an object, once relocated, read of a kernel and take for something else.

CO-RE relocates where a field is. How many bytes a probed read copies, what a hand-made struct says of a tracepoint's
context, and which number an enumerator has stay as they were compiled. A misread is only told where the walk over the
program shows the read itself (see `flow`); where it does not, the access is counted as not judged.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf.naming import printable, title
from everykernel.core.fixup import PATCHED
from everykernel.core.reads import context, formats
from everykernel.core.reads.flow import STRINGS, walk
from everykernel.core.reads.judge import Access, Forms, Judge, Misread, adapts, forms, is_offset
from everykernel.core.reads.values import Context
from everykernel.core.reads.walked import Program, Read, Record, Walked
from everykernel.core.refusal import Refused
from everykernel.dataclass import dataclass, field
from everykernel.errors import BtfMalformed
from everykernel.object.spec import INSN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from everykernel import wire
    from everykernel.core.program import Applied, RelocatedProgram
    from everykernel.core.spec import Spec
    from everykernel.object.spec import Function, ObjectSpec, ProgramSpec


@dataclass
class Found:
    """What was found in a program.

    Attributes:
        misreads: each once, in the order of the instructions.
        looked_at: how many accesses were looked at: relocated offsets, and reads of a tracepoint's context.
        unjudged: accesses of which this does not know whether they are misread.
        event: whether the layout of the program's tracepoint was known; True for any other program.
    """

    misreads: list[Misread] = field(default_factory=list)
    looked_at: int = 0
    unjudged: list[str] = field(default_factory=list)
    event: bool = True

    def describe(self, program: ProgramSpec, parts: Sequence[Function]) -> list[wire.Misread]:
        """Return the records of the misreads; instructions are counted in the program linked of ``parts``, in order."""
        starts, at = {}, 0
        for function in parts:
            starts[function.name] = at
            at += len(function.code) // INSN
        return [
            {
                "program": printable(program.name),
                "insn": starts[misread.function] + misread.insn,
                "access": misread.access,
                "taken": misread.taken,
                "kernel": misread.kernel,
            }
            for misread in self.misreads
        ]


class Finder:
    """Looks at the programs of one object against one kernel.

    Args:
        spec: the object.
        settings: the bytes of the kernel's configuration and version, by the name of the extern.
        symbols: whether an extern symbol or function is there.
        events: gives the fields of an event ``CATEGORY/NAME``, None where they are not known.
        count: walk also where nothing can be wrong, so that every read of a context is counted.
    """

    def __init__(
        self,
        spec: ObjectSpec,
        *,
        settings: Optional[Mapping[str, bytes]] = None,
        symbols: Optional[Mapping[str, bool]] = None,
        events: Callable[[str], Optional[formats.Format]] = lambda _: None,
        count: bool = False,
    ) -> None:
        self._spec = spec
        self._settings = settings or {}
        self._symbols = symbols or {}
        self._count = count
        self._events = events
        self._constants = {s.name: s.data for s in spec.data.values() if s.read_only}
        self._forms: dict[int, tuple[tuple[Spec, ...], Optional[Forms]]] = {}

    def find(self, program: ProgramSpec, parts: Sequence[Function], relocated: RelocatedProgram) -> Found:
        """Return what a program misreads.

        Args:
            program: one that libbpf would load.
            parts: its functions, the entry function first.
            relocated: the program relocated against the kernel.
        """
        try:
            return self._find(program, parts, relocated)
        except (BtfMalformed, Refused):  # types that are damaged where nothing else looked
            return Found(unjudged=["damaged types"])

    def _find(self, program: ProgramSpec, parts: Sequence[Function], relocated: RelocatedProgram) -> Found:
        found = Found()
        applied, accesses = self._accesses(parts, relocated)
        found.looked_at = len(accesses)
        doubtful = {number for number, access in enumerate(accesses) if access.forms.doubtful}
        traced = program.rule is not None and program.rule.type == "tracepoint"
        if not doubtful and not (traced and (self._count or self._moved(program, parts[0]))):
            return found
        walked = walk(self._program(parts, relocated, applied, accesses, context=traced))
        if walked is None:
            found.unjudged = sorted({accesses[number].text for number in doubtful})
            found.event = not traced
            return found
        doubtful = {n for n in doubtful if _place(accesses[n].applied) in walked.reached}  # the others are dead code
        self._fields(found, accesses, doubtful, applied, walked)
        if traced:
            self._context(found, program, parts[0], walked)
        if not walked.settled:
            found.unjudged += [misread.access for misread in found.misreads]
            found.misreads = []
        return found

    def walked(self, parts: Sequence[Function], relocated: RelocatedProgram) -> tuple[list[Access], Optional[Walked]]:
        """Return a program's accesses by their numbers, and what it reads of them and of a context in r1."""
        applied, accesses = self._accesses(parts, relocated)
        return accesses, walk(self._program(parts, relocated, applied, accesses, context=True))

    def dead(self, parts: Sequence[Function], relocated: RelocatedProgram) -> set[tuple[str, int]]:
        """Return the instructions with a record (function, index) that no path of a program leads to on this kernel."""
        applied, accesses = self._accesses(parts, relocated)
        program = self._program(parts, relocated, applied, accesses, context=False)
        walked = walk(program._replace(through=True))
        return {_place(a) for a in applied} - walked.reached if walked is not None else set()

    def reach(self, parts: Sequence[Function], relocated: RelocatedProgram) -> int:
        """Return how many bytes of its context a program reads, from the start; 0 where that is not known."""
        _, walked = self.walked(parts, relocated)
        return max((read.reach for read in walked.reads), default=0) if walked is not None else 0

    def _accesses(self, parts: Sequence[Function], relocated: RelocatedProgram) -> tuple[list[Applied], list[Access]]:
        """Return the records of a program's functions, and the accesses among them."""
        names = {function.name for function in parts}
        applied = [a for a in relocated.applied if a.function.name in names]
        return applied, [a for a in map(self._access, applied) if a is not None]

    def _access(self, applied: Applied) -> Optional[Access]:
        """Return a relocated offset as an access whose forms are known; None for any other record."""
        if not is_offset(applied):
            return None
        paths = applied.fixup.paths
        known = self._forms.get(id(paths))  # records that ask the same share their paths
        if known is None:
            known = self._forms[id(paths)] = (paths, forms(paths))
        return Access(applied, known[1]) if known[1] is not None else None

    def _program(
        self,
        parts: Sequence[Function],
        relocated: RelocatedProgram,
        applied: Sequence[Applied],
        accesses: Sequence[Access],
        *,
        context: bool,
    ) -> Program:
        """Return what is walked over."""
        numbers = {id(access.applied): number for number, access in enumerate(accesses)}
        records: dict[tuple[str, int], Record] = {}
        for one in applied:
            place, number = (one.function.name, one.insn), numbers.get(id(one), -1)
            if place not in records or number >= 0:
                records[place] = Record(number, number >= 0, adapts(one), one.fixup.outcome == PATCHED)
        code = {f.name: relocated.code.get(f.name, f.code) for f in parts}
        order = self._spec.byteorder
        return Program(parts, code, records, self._constants, self._settings, self._symbols, order, context)

    def _fields(
        self, found: Found, accesses: Sequence[Access], doubtful: set[int], applied: Sequence[Applied], walked: Walked
    ) -> None:
        judge = Judge(accesses, doubtful, applied)
        for read in walked.reads:
            judge.read(read)
        for compared in walked.compared:
            judge.compared(compared)
        found.misreads = list(dict.fromkeys(judge.misreads))
        found.unjudged = sorted({accesses[number].text for number in doubtful - judge.settled})

    def _struct(self, entry: Function) -> Optional[int]:
        """Return the struct that an entry function's context is, as the object sees it."""
        return context.struct_of(entry, self._spec.btf) if self._spec.btf is not None else None

    def _moved(self, program: ProgramSpec, entry: Function) -> bool:
        """Whether a member of the struct that a program takes its context for is not where the event has it."""
        struct, event = self._struct(entry), self._events(program.target)
        if struct is None or event is None or self._spec.btf is None:
            return False
        members = context.members(self._spec.btf, struct)
        return any(context.judge(m, m.offset, m.size, event, "") not in (None, context.RIGHT) for m in members)

    def _context(self, found: Found, program: ProgramSpec, entry: Function, walked: Walked) -> None:
        """Judge what a program reads of its tracepoint's context without a record."""
        reads = [r for r in walked.reads if isinstance(r.source, Context) and r.source.offset >= formats.COMMON]
        if not reads:
            return
        found.looked_at += len(reads)
        event = self._events(program.target)
        found.event = event is not None
        struct = self._struct(entry)
        for read in reads:
            wrong = self._wrong(read, entry, struct, event)
            if wrong is None:
                found.unjudged.append(f"byte {getattr(read.source, 'offset', 0)} of the context")
            elif wrong.access:
                misread = Misread(read.function, read.insn, wrong.access, wrong.taken, wrong.kernel)
                found.misreads += [misread] if misread not in found.misreads else []

    def _wrong(
        self, read: Read, entry: Function, struct: Optional[int], event: Optional[formats.Format]
    ) -> Optional[context.Wrong]:
        """Return what is wrong with a read of the context, `context.RIGHT` if nothing is, None if that is unknown."""
        btf = self._spec.btf
        if struct is None or btf is None or event is None or read.function != entry.name:
            return None
        assert isinstance(read.source, Context)
        size = 1 if read.how in STRINGS.values() else read.size
        at = read.source.offset
        member = next((m for m in context.members(btf, struct) if m.offset <= at < m.offset + m.size), None)
        if member is None or size is None:
            return None
        return context.judge(member, at, size, event, title(btf, struct))


def _place(applied: Applied) -> tuple[str, int]:
    return applied.function.name, applied.insn
