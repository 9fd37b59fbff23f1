"""CO-RE where the best candidate wins: the one that leaves the fewest of a program's records of a type unresolved.

Follows cilium/ebpf v0.22.0's CORERelocate, coreCalculateFixups and COREFixup.Apply. Records are taken together by their
local type; every type of that name is a candidate, whatever its kind, of the kernel and of each module; candidates that
are equally good have to give the same values.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds
from everykernel.core import relokinds, values
from everykernel.core.candidates import Candidate, stem_of
from everykernel.core.fixup import FAILED, PATCHED, POISONED, Fixup
from everykernel.core.match import Miss, match
from everykernel.core.patch import Change, immediate, patch
from everykernel.core.refusal import Refused
from everykernel.core.spec import Spec, parse, text
from everykernel.errors import BtfMalformed
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everykernel.btf.ext import CoreRecord
    from everykernel.core.compute import Session

_EXISTENCE = frozenset(
    {relokinds.FIELD_EXISTS, relokinds.TYPE_EXISTS, relokinds.ENUMVAL_EXISTS, relokinds.TYPE_MATCHES}
)
_SHIFTS = frozenset({relokinds.FIELD_LSHIFT_U64, relokinds.FIELD_RSHIFT_U64})


class Outcome(NamedTuple):
    """What a record comes to with one candidate: its change, None: poison; ``why`` there is none."""

    change: Optional[Change]
    why: str = ""
    paths: tuple[Spec, ...] = ()

    @property
    def unresolved(self) -> bool:
        """Whether it counts against the candidate."""
        return self.change is None or bool(self.why)

    def agrees(self, other: Outcome) -> bool:
        """Whether another candidate gives the same values."""
        mine, theirs = self.change, other.change
        return (mine and (mine.old, mine.new)) == (theirs and (theirs.old, theirs.new))


def choose(session: Session, records: Sequence[tuple[int, CoreRecord]]) -> list[tuple[Outcome, tuple[Candidate, ...]]]:
    """Return what each record comes to, and the candidates that were considered; raise Refused for all of them.

    ``records`` are those of one local type, with their numbers in .BTF.ext.
    """
    number = records[0][1].type_id
    considered = _candidates(session, number)
    best: Optional[list[Outcome]] = None
    fewest = len(records)
    for candidate in considered:
        found = [_outcome(session, record, candidate) for _, record in records]
        unresolved = sum(outcome.unresolved for outcome in found)
        if unresolved < fewest:
            best, fewest = found, unresolved
        elif unresolved == fewest and best is not None:
            for (_, record), one, other in zip(records, best, found):
                if not one.agrees(other):
                    what = f"{relokinds.name(record.kind)}: several types of the kernel match as well as one another"
                    raise Refused(f"{what}, and give other values", "relocation-ambiguous")
    if best is None:
        why = f"the kernel has no {session.title(number)}"
        best = [_missing(record, why) for _, record in records]
    return [(outcome, considered) for outcome in best]


def _candidates(session: Session, number: int) -> tuple[Candidate, ...]:
    target = session.target
    if target.vmlinux is None:
        raise Refused("there is no BTF to relocate against", "btf-missing", "ESRCH")
    stem = stem_of(session.local, number)
    found = session.named.get(stem)
    if found is None:
        types = (target.vmlinux, *target.modules)
        found = tuple(Candidate(btf, n) for btf in types for n in btf.own_candidates(stem))
        session.named[stem] = found
    return found


def _missing(record: CoreRecord, why: str) -> Outcome:
    """Return what a record comes to that nothing answers."""
    return Outcome(Change(1, 0, True, 0, 0, True) if record.kind in _EXISTENCE else None, why)


def _outcome(session: Session, record: CoreRecord, candidate: Candidate) -> Outcome:
    local = session.local
    spec = parse(record, local)
    if record.kind in relokinds.TYPE_BASED:
        spec = Spec(local, local.resolve(record.type_id), record.kind)
    number = candidate.btf.resolve(candidate.number)
    if record.kind in relokinds.FIELD_BASED and isinstance(candidate.btf.type(number), kinds.Fwd):
        return _missing(record, f"{candidate} is only declared")
    if record.kind in relokinds.FIELD_BASED and not _composites(spec, candidate.btf.kind(number)):
        return _missing(record, f"{candidate} is another kind of type")
    there = match(spec, candidate.btf, number, elements=False)
    if isinstance(there, Miss):
        return _missing(record, there)
    if record.kind == relokinds.TYPE_ID_TARGET:
        if candidate.btf is not session.target.vmlinux:
            return _missing(record, f"{candidate} is a module's: its id stands for nothing in an instruction")
        return Outcome(Change(record.type_id, candidate.number, True, 0, 0, True), paths=(spec, there))
    if record.kind == relokinds.FIELD_SIGNED:
        _signedness(spec)
    here, value = values.value(record.kind, spec), values.value(record.kind, there)
    assert here.number is not None
    assert value.number is not None
    exact = here.exact and record.kind not in _SHIFTS
    return Outcome(Change(here.number, value.number, exact, 0, 0, True), paths=(spec, there))


def _composites(spec: Spec, kind: int) -> bool:
    """Whether a field's root type and a candidate are both structs or unions, or of one kind."""
    ours = spec.btf.kind(spec.btf.resolve(spec.root))
    both = (kinds.STRUCT, kinds.UNION)
    return ours == kind or (ours in both and kind in both)


def _signedness(spec: Spec) -> None:
    """Raise Refused for a field whose type has no sign (coreCalculateFixup's errNoSignedness)."""
    accessor = spec.accessors[-1]
    struct = spec.btf.type(accessor.type)
    number = struct.members[accessor.step].type if isinstance(struct, kinds.Struct) else accessor.type
    if not isinstance(spec.btf.type(spec.btf.resolve(number)), (kinds.Int, kinds.Enum)):
        raise Refused("its type has no sign")


def fixup(
    session: Session, record: CoreRecord, index: int, insn: bytes, found: tuple[Outcome, tuple[Candidate, ...]]
) -> Fixup:
    """Return what a record does to its instruction; never raises for what is wrong with it."""
    local = session.local
    outcome, considered = found
    kind, access = relokinds.name(record.kind), _access(session, record)
    names = tuple(map(str, considered))
    change = outcome.change
    if len(insn) < 8:
        return failed(session, record, index, Refused("the record's instruction is past the end of the code"))
    try:
        if change is None:
            code, old = session.manner.poison(insn, local.byteorder), immediate(insn, local.byteorder)
            return Fixup(
                record, index, kind, access, POISONED, None, None, old,
                candidates=names, message=outcome.why, insn=code,
            )  # fmt: skip
        done = patch(insn, change, local.byteorder)
    except Refused as e:
        return failed(session, record, index, e)
    btf = outcome.paths[1].btf.name if outcome.paths else ""
    return Fixup(
        record, index, kind, access, PATCHED, change.old, change.new, done.old, done.new, done.mem_size,
        names, btf, outcome.why, insn=done.code, paths=outcome.paths,
    )  # fmt: skip


def failed(session: Session, record: CoreRecord, index: int, why: Refused) -> Fixup:
    """Return the fixup of a record that cannot be relocated."""
    kind, access = relokinds.name(record.kind), _access(session, record)
    return Fixup(record, index, kind, access, FAILED, message=why.message, code=why.code, errno=why.errno)


def local_id(record: CoreRecord) -> Outcome:
    """Return what the id of a local type comes to: the object's own, which its BTF keeps."""
    return Outcome(Change(record.type_id, record.type_id, True, 0, 0, True))


def _access(session: Session, record: CoreRecord) -> str:
    try:
        return text(parse(record, session.local))
    except (Refused, BtfMalformed):
        return f"type {record.type_id} + {record.access!r}"
