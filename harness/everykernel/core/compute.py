"""One CO-RE record, one kernel, one instruction: `compute` says what to do, and why.

The order of everything (what is checked first, what is ambiguous, what is poisoned, what fails) is that of libbpf 1.8
(bpf_core_resolve_relo, bpf_core_calc_relo_insn, bpf_core_patch_insn).

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds
from everykernel.btf.naming import title
from everykernel.core import relokinds
from everykernel.core import values as values_
from everykernel.core.fixup import FAILED, PATCHED, POISONED, Fixup
from everykernel.core.manner import LIBBPF, Manner
from everykernel.core.match import Miss, match
from everykernel.core.patch import Change, immediate, patch
from everykernel.core.refusal import Refused
from everykernel.core.spec import Spec, parse, text
from everykernel.dataclass import dataclass
from everykernel.errors import BtfMalformed

if TYPE_CHECKING:
    from everykernel.btf.ext import CoreRecord
    from everykernel.btf.types import Btf
    from everykernel.core.candidates import Candidate, Target

Kept = dict[int, tuple["Candidate", ...]]


class Session:
    """The memory of relocating one object against one target.

    libbpf keeps, for each local type, only the candidates that matched so far: what one record rules out, the next
    does not consider. ``kept`` is that memory; `again` forgets it (for the next program, tried on its own), and keeps
    what is independent of it. ``narrowed`` tells whether any record ever ruled a candidate out. ``manner`` is the
    loader's.
    """

    def __init__(self, local: Btf, target: Target, manner: Manner = LIBBPF) -> None:
        self.local = local
        self.target = target
        self.manner = manner
        self.kept: Kept = {}
        self.narrowed = False
        self._resolved: dict[tuple[int, str, int, tuple[Candidate, ...]], _Resolved] = {}
        self._titles: dict[int, str] = {}
        self.named: dict[str, tuple[Candidate, ...]] = {}  # every type of a name, less its flavour (best.py)
        self._specs: dict[tuple[int, str, int], tuple[Optional[Spec], str, Optional[Refused]]] = {}

    def title(self, number: int) -> str:
        """Return a local type as C names it."""
        found = self._titles.get(number)
        if found is None:
            found = self._titles[number] = title(self.local, number)
        return found

    def again(self) -> Session:
        """Forget which candidates were ruled out."""
        self.kept = {}
        return self


@dataclass(frozen=True)
class _Resolved:
    """What a record's path comes to in the target, before any instruction is looked at."""

    change: Optional[Change]  # None: poison
    local: Optional[int]
    target: Optional[int]
    candidates: tuple[str, ...]  # that were considered
    matching: tuple[Candidate, ...]
    message: str
    paths: tuple[Spec, ...] = ()


def compute(
    record: CoreRecord, index: int, local: Btf, target: Target, insn: bytes, session: Optional[Session] = None
) -> Fixup:
    """Return what one record does to its instruction.

    Args:
        record: the record.
        index: its number in its section of .BTF.ext, kept in the fixup.
        local: the object's BTF.
        target: the kernel's.
        insn: the instruction's 8 bytes, 16 for LDIMM64.
        session: the memory shared by the records of one program, in the order of .BTF.ext; None: this record alone.

    Never raises for what is wrong with record, object or BTF: the outcome is then ``failed``.
    """
    session = session or Session(local, target)
    kind = relokinds.name(record.kind)
    access = f"type {record.type_id} + {record.access!r}"
    considered: tuple[Candidate, ...] = ()
    resolved = None
    try:
        access = session.title(record.type_id)
        considered = _considered(session, record)
        spec, access = _spec(session, record)
        resolved = _resolve(session, record, spec, considered)
        if resolved.matching and session.manner.narrows:
            session.narrowed |= len(resolved.matching) < len(considered)
            session.kept[record.type_id] = resolved.matching
        return _fixup(record, index, kind, access, resolved, insn, session)
    except Refused as e:
        message, code, errno = e.message, e.code, e.errno
    except BtfMalformed as e:
        message, code, errno = str(e), "object-malformed" if e.where.startswith(local.name) else e.code, "EINVAL"
    return Fixup(
        record, index, kind, access, FAILED,
        local=resolved.local if resolved else None,
        target=resolved.target if resolved else None,
        candidates=tuple(map(str, considered)), message=message, code=code, errno=errno,
    )  # fmt: skip


def _considered(session: Session, record: CoreRecord) -> tuple[Candidate, ...]:
    """Return the candidates that are left for a record's root type."""
    if session.target.vmlinux is None:
        raise Refused("there is no BTF to relocate against", "btf-missing", "ESRCH")
    if record.kind == relokinds.TYPE_ID_LOCAL:
        return ()
    kept = session.kept.get(record.type_id)
    return kept or session.target.candidates(session.local, record.type_id, modules=session.manner.modules)


def _spec(session: Session, record: CoreRecord) -> tuple[Spec, str]:
    """Return a record's path in the object's BTF and its text, parsed once."""
    key = (record.type_id, record.access, record.kind)
    found = session._specs.get(key)
    if found is None:
        try:
            spec = parse(record, session.local)
            found = (spec, text(spec), None)
        except Refused as e:
            found = (None, "", e)
        session._specs[key] = found
    spec_or_none, words, refusal = found
    if spec_or_none is None:
        raise Refused(refusal.message, refusal.code, refusal.errno) if refusal else AssertionError
    return spec_or_none, words


def _resolve(session: Session, record: CoreRecord, spec: Spec, considered: tuple[Candidate, ...]) -> _Resolved:
    """Return what a path comes to, remembered for the candidates that are left."""
    key = (record.type_id, record.access, record.kind, considered)
    found = session._resolved.get(key)
    if found is None:
        found = session._resolved[key] = _resolve_anew(record, spec, considered, session.manner)
    return found


def _resolve_anew(record: CoreRecord, spec: Spec, considered: tuple[Candidate, ...], manner: Manner) -> _Resolved:
    kind = record.kind
    if kind == relokinds.TYPE_ID_LOCAL:
        number = record.type_id
        return _Resolved(Change(number, number, False, 0, 0, True), number, number, (), (), "")
    here = None
    first: Optional[tuple[values_.Value, Spec]] = None
    matching: list[Candidate] = []
    misses: list[str] = []
    paths = [spec]
    for candidate in considered:
        there_spec = match(spec, candidate.btf, candidate.number)
        if isinstance(there_spec, Miss):
            misses.append(there_spec)
            continue
        here = here or values_.value(kind, spec)
        there = values_.value(kind, there_spec)
        if first is None:
            first = (there, there_spec)
        else:
            _agree(first, (there, there_spec), matching[0], candidate)
        matching.append(candidate)
        paths.append(there_spec)
    here = here or values_.value(kind, spec)
    names = tuple(map(str, considered))
    if first is None:
        there = values_.value(kind, None)
        message = _why(spec, considered, misses)
        if manner.refuses_missing and kind in (relokinds.TYPE_SIZE, relokinds.TYPE_ID_TARGET):
            raise Refused(message, "relocation-unresolved")
    else:
        there, message = first[0], ""
    if here.number is None or there.number is None:
        return _Resolved(None, here.number, None, names, tuple(matching), message)
    adjustable = first is None or _adjustable(here, spec, there, first[1])
    change = Change(here.number, there.number, here.exact, here.size, there.size, adjustable)
    found = tuple(paths) if matching else ()
    return _Resolved(change, here.number, there.number, names, tuple(matching), message, found)


def _agree(
    first: tuple[values_.Value, Spec], other: tuple[values_.Value, Spec], one: Candidate, two: Candidate
) -> None:
    """Refuse candidates that lead to different places or values."""
    if first[1].bit_offset != other[1].bit_offset:
        raise Refused(
            f"{one} has it at bit {first[1].bit_offset}, {two} at bit {other[1].bit_offset}", "relocation-ambiguous"
        )
    if first[0].number != other[0].number:
        raise Refused(f"{one} gives {first[0].number}, {two} gives {other[0].number}", "relocation-ambiguous")


def _adjustable(here: values_.Value, spec: Spec, there: values_.Value, target: Spec) -> bool:
    """Whether a load or store may change its width: only of pointers, and of integers that are not signed."""
    if here.size == there.size:
        return True
    ours, theirs = spec.btf.type(here.type), target.btf.type(there.type)
    if isinstance(ours, kinds.Ptr) and isinstance(theirs, kinds.Ptr):
        return True
    return (
        isinstance(ours, kinds.Int)
        and isinstance(theirs, kinds.Int)
        and ours.encoding != kinds.INT_SIGNED
        and theirs.encoding != kinds.INT_SIGNED
    )


def _why(spec: Spec, considered: tuple[Candidate, ...], misses: list[str]) -> str:
    if not considered:
        return f"the kernel has no {title(spec.btf, spec.root)}"
    return "; ".join(dict.fromkeys(misses))


def _fixup(
    record: CoreRecord, index: int, kind: str, access: str, resolved: _Resolved, insn: bytes, session: Session
) -> Fixup:
    byteorder = session.local.byteorder
    if len(insn) < 8:
        raise Refused("the record's instruction is past the end of the code")
    candidates = resolved.candidates
    btf = resolved.matching[0].btf.name if resolved.matching else ""
    if resolved.change is None:
        code, old, message = session.manner.poison(insn, byteorder), immediate(insn, byteorder), resolved.message
        return Fixup(
            record, index, kind, access, POISONED, resolved.local, None, old,
            candidates=candidates, message=message, insn=code,
        )  # fmt: skip
    done = patch(insn, resolved.change, byteorder)
    if done.poisoned and session.manner.refuses_resized:
        raise Refused(done.poisoned, "relocation-unresolved")
    if done.poisoned:
        return Fixup(
            record, index, kind, access, POISONED, resolved.local, resolved.target, done.old,
            candidates=candidates, btf=btf, message=done.poisoned, insn=done.code,
        )  # fmt: skip
    return Fixup(
        record, index, kind, access, PATCHED, resolved.local, resolved.target, done.old, done.new, done.mem_size,
        candidates, btf, resolved.message, insn=done.code, paths=resolved.paths,
    )  # fmt: skip
