"""`find`: what a program that was relocated reads of a kernel, and takes for something else.

CO-RE relocates where a field is. How many bytes a probed read copies, what a hand-made struct says of a tracepoint's
context, and which number an enumerator has stay as they were compiled. A misread is only told where the walk over the
program shows the read itself (see `flow`); where it does not, the access is counted as not judged.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Optional

from everykernel.btf import kinds
from everykernel.btf.index import essential
from everykernel.btf.naming import printable
from everykernel.core import relokinds
from everykernel.core.fixup import PATCHED
from everykernel.core.reads import fields
from everykernel.core.reads.flow import Compared, Program, Read, Record, walk
from everykernel.core.reads.values import Address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from everykernel.core.program import Applied, RelocatedProgram
    from everykernel.core.spec import Spec
    from everykernel.object.spec import Function, ObjectSpec, ProgramSpec

_ADAPTS = frozenset({
    relokinds.FIELD_BYTE_SIZE, relokinds.FIELD_SIGNED, relokinds.FIELD_LSHIFT_U64, relokinds.FIELD_RSHIFT_U64,
})  # fmt: skip


class Misread(NamedTuple):
    """One read that is taken for something else.

    Attributes:
        function, insn: the instruction that reads.
        access: what the object asks for, in C.
        taken: what the object takes it for.
        kernel: what this kernel has.
        what: ``width``, ``sign``, ``bits``, ``pointer``, ``context`` or ``enumerator``.
    """

    function: str
    insn: int
    access: str
    taken: str
    kernel: str
    what: str


@dataclass
class Found:
    """What was found in a program: ``looked_at`` accesses, of which ``unjudged`` may be read wrongly, or not."""

    misreads: list[Misread] = field(default_factory=list)
    looked_at: int = 0
    unjudged: list[str] = field(default_factory=list)


class _Access(NamedTuple):
    """An access that was relocated, and its form here and in each candidate of the kernel."""

    applied: Applied
    here: Spec
    form: fields.Form
    there: tuple[tuple[Spec, fields.Form], ...]

    @property
    def text(self) -> str:
        return self.applied.fixup.access


def find(
    spec: ObjectSpec,
    program: ProgramSpec,
    parts: Sequence[Function],
    relocated: RelocatedProgram,
    settings: Optional[Mapping[str, int]] = None,
) -> Found:
    """Return what a program misreads.

    Args:
        spec: the object.
        program: a program of it that libbpf would load.
        parts: its functions, the entry function first.
        relocated: the program relocated against the kernel.
        settings: externs whose value is known; where a branch depends on another, nothing is judged.
    """
    found = Found()
    names = {function.name for function in parts}
    applied = [a for a in relocated.applied if a.function.name in names]
    accesses = [a for a in map(_access, applied) if a is not None]
    found.looked_at = len(accesses)
    doubtful = {number for number, access in enumerate(accesses) if _doubtful(access)}
    if not doubtful:
        return found
    walked = walk(_program(spec, program, parts, relocated, applied, accesses, settings or {}))
    if walked is None or not walked.settled:
        found.unjudged = sorted({accesses[number].text for number in doubtful})
        return found
    doubtful &= walked.reached  # the others are dead code on this kernel
    judge = _Judge(accesses, doubtful, _adapted(applied))
    for read in walked.reads:
        judge.read(read)
    for compared in walked.compared:
        judge.compared(compared)
    found.misreads = list(dict.fromkeys(judge.misreads))
    found.unjudged = sorted({accesses[number].text for number in doubtful - judge.settled})
    return found


def _access(applied: Applied) -> Optional[_Access]:
    """Return a relocated offset as an access whose forms are known; None for any other record."""
    fixup = applied.fixup
    if fixup.record.kind != relokinds.FIELD_BYTE_OFFSET or fixup.outcome != PATCHED or not fixup.paths:
        return None
    here, *there = fixup.paths
    form = fields.form(here)
    forms = [(path, fields.form(path)) for path in there]
    if form is None or any(f is None for _, f in forms):
        return None
    return _Access(applied, here, form, tuple((path, f) for path, f in forms if f is not None))


def _doubtful(access: _Access) -> bool:
    return all(fields.differ(access.form, form) or _renumbered(access, path, form) for path, form in access.there)


def _renumbered(access: _Access, path: Spec, form: fields.Form) -> dict[int, tuple[str, int]]:
    """Return the local enumerators that have another value in the kernel: number here → name, number there."""
    ours, theirs = access.here.btf.type(access.form.type), path.btf.type(form.type)
    if not isinstance(ours, kinds.Enum) or not isinstance(theirs, kinds.Enum):
        return {}
    there = {value.name: value.value for value in theirs.values}
    names: dict[int, list[str]] = {}
    for value in ours.values:
        names.setdefault(value.value, []).append(essential(value.name))
    found = {}
    for number, same in names.items():
        if all(there.get(name, number) != number for name in same):
            found[number] = (same[0], there[same[0]])
    return found


def _adapted(applied: Sequence[Applied]) -> set[tuple[str, str]]:
    """Return (function, access without flavours) of what a program also asks the size, the sign or the shifts of."""
    return {(a.function.name, _plain(a.fixup.access)) for a in applied if a.fixup.record.kind in _ADAPTS}


def _plain(access: str) -> str:
    root, dot, path = access.partition(".")
    return essential(root) + dot + path


def _program(
    spec: ObjectSpec,
    program: ProgramSpec,
    parts: Sequence[Function],
    relocated: RelocatedProgram,
    applied: Sequence[Applied],
    accesses: Sequence[_Access],
    settings: Mapping[str, int],
) -> Program:
    """Return what is walked over."""
    numbers = {id(access.applied): number for number, access in enumerate(accesses)}
    records: dict[tuple[str, int], Record] = {}
    for one in applied:
        kind, place = one.fixup.record.kind, (one.function.name, one.insn)
        number = numbers.get(id(one))
        patched = one.fixup.outcome == PATCHED
        if place not in records or number is not None:
            records[place] = Record(number if number is not None else -1, number is not None, kind in _ADAPTS, patched)
    return Program(
        functions=parts,
        code={f.name: relocated.code.get(f.name, f.code) for f in parts},
        records=records,
        constants={s.name: s.data for s in spec.data.values() if s.read_only},
        settings=settings,
        byteorder=spec.byteorder,
        context=program.rule is not None and program.rule.type == "tracepoint",
    )


class _Judge:
    """Compares what was read with what the kernel has; ``settled`` are the accesses of which a read was judged."""

    def __init__(self, accesses: Sequence[_Access], doubtful: set[int], adapted: set[tuple[str, str]]) -> None:
        self.accesses = accesses
        self.doubtful = doubtful
        self.adapted = adapted
        self.misreads: list[Misread] = []
        self.settled: set[int] = set()

    def read(self, read: Read) -> None:
        """Judge one read of an access."""
        source = read.source
        if not isinstance(source, Address) or source.access not in self.doubtful:
            return
        access = self.accesses[source.access]
        if read.adapted or (access.applied.function.name, _plain(access.text)) in self.adapted:
            self.settled.add(source.access)
            return
        if source.delta or read.size is None:
            return
        self.settled.add(source.access)
        if read.record:
            what = self._loaded(access, read)
        else:
            wrong = all(fields.misread(access.form, form, read.size) for _, form in access.there)
            what = _what(access.form, access.there[0][1]) if wrong else ""
        if what:
            self._add(access, read.function, read.insn, what)

    def _loaded(self, access: _Access, read: Read) -> str:
        """Return what is wrong with a load that CO-RE has adjusted: a bitfield's shifts behind it are not, nor its sign."""
        fixup = access.applied.fixup
        if fixup.old is None or fixup.new is None or fixup.mem_size is not None:
            return ""
        if not access.form.bits:
            same = all(fields.misread(access.form, form, read.size or 0) for _, form in access.there)
            return "sign" if same else ""
        before = access.form.bit - 8 * fixup.old
        moved = all((form.bit - 8 * fixup.new, form.bits) != (before, access.form.bits) for _, form in access.there)
        return "bits" if moved else ""

    def compared(self, compared: Compared) -> None:
        """Judge one comparison with an enumerator."""
        if compared.access not in self.doubtful:
            return
        access = self.accesses[compared.access]
        path, form = access.there[0]
        found = _renumbered(access, path, form).get(compared.number)
        if found is None or len(access.there) > 1:
            return
        name, number = found
        text = f"{access.text} == {printable(name)}"
        taken, kernel = f"{printable(name)} = {compared.number}", f"{printable(name)} = {number}"
        self.misreads.append(Misread(compared.function, compared.insn, text, taken, kernel, "enumerator"))

    def _add(self, access: _Access, function: str, insn: int, what: str) -> None:
        path, form = access.there[0]
        taken, kernel = fields.words(access.here, access.form), fields.words(path, form)
        self.misreads.append(Misread(function, insn, access.text, taken, kernel, what))


def _what(here: fields.Form, there: fields.Form) -> str:
    if there.bits or here.bits:
        return "bits"
    if here.what != there.what:
        return "pointer"
    return "width" if (here.size, here.element) != (there.size, there.element) else "sign"
