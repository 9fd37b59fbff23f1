"""Why a record does not fit a kernel, in words for the author of the object: what it expects, what the kernel has
instead, and the idiom that handles both.

Works from the same bytes as `compute`; a guess here never changes what a relocation does.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds, render
from everykernel.btf.index import essential
from everykernel.btf.naming import printable, title
from everykernel.btf.types import SizeUnknown
from everykernel.core import compat, idioms, relokinds
from everykernel.core import renames as renames_
from everykernel.core.fixup import FAILED, PATCHED
from everykernel.core.match import Miss, match
from everykernel.core.refusal import Refused
from everykernel.core.renames import Lacking
from everykernel.core.spec import Accessor, Spec, parse
from everykernel.dataclass import dataclass
from everykernel.errors import BtfMalformed
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from everykernel.btf.types import Btf
    from everykernel.core.candidates import Target
    from everykernel.core.fixup import Fixup
    from everykernel.core.idioms import Rename

_NEAREST = 3
_CLOSE = 0.6  # difflib's ratio from which two names are called alike
_EMBEDDED_DEPTH = 2  # how many named structs deep a member is looked for
_FEW = 50  # names that are compared letter by letter
_UNAMBIGUOUS = "; give the local type a member that only the wanted one has, and access that first"
_LOOK_AT = 20_000  # members or types looked at for one explanation


class Near(NamedTuple):
    """Something of the kernel's that may be what was meant: its name, its declaration in C, and why it is offered."""

    text: str
    declared: str
    why: str


@dataclass(frozen=True)
class Explanation:
    """One relocation in words.

    Attributes:
        access: what it is about, in C.
        expects: what the object was compiled for.
        has: what the kernel has.
        nearest: the kernel's likeliest counterparts, best first.
        idiom: C that works on kernels of both kinds; "" where nothing has to be done.
        rename: the name that the idiom reads instead, None where it only guards.
    """

    access: str
    expects: str
    has: str
    nearest: tuple[Near, ...]
    idiom: str
    rename: Optional[Rename] = None

    def __str__(self) -> str:
        lines = [self.access, f"  the object expects {self.expects}", f"  {self.has}"]
        lines += [f"  near: {near.text} ({near.declared}): {near.why}" for near in self.nearest]
        if self.idiom:
            lines += ["  handles both:", *(f"      {line}" for line in self.idiom.splitlines())]
        return "\n".join(lines)


def explain(fixup: Fixup, local: Btf, target: Target, others: Sequence[Target] = ()) -> Explanation:
    """Explain one fixup; ``local`` and ``target`` are those that it was computed from, ``others`` further kernels."""
    try:
        return _explain(fixup, parse(fixup.record, local), target, others)
    except (Refused, BtfMalformed) as e:
        return Explanation(fixup.access, "what its record does not say", fixup.message or e.message, (), "")


def together(explanations: Sequence[Explanation], fixup: Fixup, local: Btf) -> str:
    """Return one idiom for what several kernels lack: a member that has another name in each is read by all of them."""
    renames = tuple(dict.fromkeys(e.rename for e in explanations if e.rename is not None))
    if renames:
        return idioms.read(parse(fixup.record, local), renames)
    return next((e.idiom for e in explanations if e.idiom), "")


def _explain(fixup: Fixup, spec: Spec, target: Target, others: Sequence[Target]) -> Explanation:
    kind = fixup.record.kind

    def explanation(
        has: str, idiom: str = "", nearest: tuple[Near, ...] = (), rename: Optional[Rename] = None
    ) -> Explanation:
        return Explanation(fixup.access, _expects(fixup, spec), has, nearest, idiom, rename)

    if fixup.outcome == FAILED:
        return explanation(f"refused: {fixup.message}{_UNAMBIGUOUS if _ambiguous(fixup) else ''}")
    if not fixup.message:
        return explanation(_changed(fixup))
    if fixup.btf:  # found, and yet not loadable as the object loads it
        return explanation(fixup.message, idioms.width(spec))
    if not fixup.candidates or kind in relokinds.TYPE_BASED:
        nearest = tuple(_near_types(spec, target)) if not fixup.candidates else ()
        return explanation(fixup.message, _guard(spec), nearest)
    if left_out := _left_out(fixup, spec, target):
        return explanation(left_out, idioms.another_type(spec))
    if kind in relokinds.ENUMVAL_BASED:
        return explanation(fixup.message, _guard(spec), tuple(_near_values(spec, target)))
    lacking = _missing_step(fixup, spec, target)
    if lacking is None:  # an array that is too short, or none
        return explanation(fixup.message, idioms.read(spec))
    nearest = tuple(_near_members(spec.btf, lacking))
    found = renames_.find(spec, lacking, others)
    if found is None:
        return explanation(fixup.message, idioms.read(spec), nearest)
    text = ".".join([title(lacking.btf, lacking.struct), *found.rename.path[len(lacking.prefix) :]])
    near = Near(text, found.declared, found.why)
    return explanation(fixup.message, idioms.read(spec, [found.rename]), (near,), found.rename)


def _guard(spec: Spec) -> str:
    """Return the idiom for what may be missing with its whole type: it need not ask for that apart."""
    if spec.kind in relokinds.FIELD_BASED:
        return idioms.read(spec)
    return idioms.value_missing(spec) if spec.kind in relokinds.ENUMVAL_BASED else ""


def _ambiguous(fixup: Fixup) -> bool:
    return fixup.code == "relocation-ambiguous"


def _left_out(fixup: Fixup, spec: Spec, target: Target) -> str:
    """Return what to say where the kernel has it in a type that an earlier access ruled out, else ""."""
    every = target.candidates(spec.btf, spec.root)
    out = [c for c in every if str(c) not in fixup.candidates]
    having = [str(c) for c in out if isinstance(match(spec, c.btf, c.number), Spec)]
    if not having:
        return ""
    left = " and ".join(fixup.candidates)
    return (
        f"{' and '.join(having)} has it, of the kernel's {len(every)} types of this name; what is accessed before it "
        f"left only {left}: {fixup.message}"
    )


def _expects(fixup: Fixup, spec: Spec) -> str:
    kind = fixup.record.kind
    if kind in relokinds.TYPE_BASED:
        return f"{title(spec.btf, spec.root)} ({fixup.kind} {fixup.local})"
    if kind in relokinds.ENUMVAL_BASED:
        return f"{printable(spec.accessors[0].name or '')} in {title(spec.btf, spec.root)} ({fixup.kind} {fixup.local})"
    last = spec.accessors[-1]
    if last.name is None:
        return f"{title(spec.btf, last.type)} at byte {spec.bit_offset // 8}"
    return f"{_declared(spec.btf, last)} at byte {spec.bit_offset // 8} of {title(spec.btf, spec.root)}"


def _changed(fixup: Fixup) -> str:
    if fixup.outcome == PATCHED and fixup.local == fixup.target:
        return f"the kernel has the same ({fixup.kind} {fixup.target})"
    width = f", {fixup.mem_size} bytes wide" if fixup.mem_size is not None else ""
    return f"the kernel has {fixup.kind} {fixup.target}{width}, and the instruction is adjusted"


def _declared(btf: Btf, accessor: Accessor) -> str:
    struct = btf.type(accessor.type)
    if not isinstance(struct, kinds.Struct):
        return title(btf, accessor.type)
    member = struct.members[accessor.step]
    return render.declaration(btf, member.type, printable(member.name))


# ---------------------------------------------------------------------------------------------------------- members


def _near_members(local: Btf, lacking: Lacking) -> list[Near]:
    """Return members of the kernel's struct that are called like the missing one and have a type that fits."""
    wanted, btf = lacking.wanted, lacking.btf
    local_struct = local.type(wanted.type)
    assert isinstance(local_struct, kinds.Struct)
    local_type = local_struct.members[wanted.step].type
    name = wanted.name or ""
    found: list[tuple[float, Near]] = []
    for path, member in _members(btf, lacking.struct):
        alike = _alike(name, member.name)
        if alike < (1.0 if path else _CLOSE) or not _fits(local, local_type, btf, member.type):
            continue
        reason = "the same name, in an embedded struct" if path else _reason(name, member.name)
        text = ".".join([title(btf, lacking.struct), *path, printable(member.name)])
        declared = render.declaration(btf, member.type, printable(member.name))
        found.append((alike, Near(text, declared, f"{reason}, and a type that fits")))
    found.sort(key=lambda pair: -pair[0])
    return [near for _, near in found[:_NEAREST]]


def _missing_step(fixup: Fixup, spec: Spec, target: Target) -> Optional[Lacking]:
    """Return where the first candidate that is left does not have the path."""
    candidates = target.candidates(spec.btf, spec.root)
    candidate = next((c for c in candidates if str(c) in fixup.candidates), candidates[0])
    at = candidate.number
    prefix: list[Optional[str]] = []
    for length, accessor in enumerate(spec.accessors, 1):
        if accessor.name is not None:
            part = Spec(spec.btf, spec.root, relokinds.FIELD_EXISTS, spec.accessors[:length])
            found = match(part, candidate.btf, candidate.number)
            if isinstance(found, Miss):
                leaf = _leaf(spec) if None not in prefix else ""
                names = tuple(name or "" for name in prefix)
                words = frozenset((spec.accessors[-1].name or "").split("_"))
                return Lacking(names, accessor, candidate.btf, candidate.btf.resolve(at), leaf, words)
            prefix.append(printable(accessor.name))
            last = found.accessors[-1]
            struct = candidate.btf.type(last.type)
            assert isinstance(struct, kinds.Struct)
            at = struct.members[last.step].type
        elif length > 1:
            array = candidate.btf.type(candidate.btf.resolve(at))
            if not isinstance(array, kinds.Array):
                break
            prefix.append(None)
            at = array.type
    return None


def _leaf(spec: Spec) -> str:
    """Return the C type of what a path leads to, "" where it is no number or pointer."""
    last = spec.accessors[-1]
    struct = spec.btf.type(last.type)
    if last.name is None:
        return idioms.scalar(spec.btf, last.type)
    return idioms.scalar(spec.btf, struct.members[last.step].type) if isinstance(struct, kinds.Struct) else ""


def _members(btf: Btf, number: int) -> Iterator[tuple[tuple[str, ...], kinds.Member]]:
    """Yield the named members of a struct, those of embedded structs after them with the path to them."""
    waiting: list[tuple[tuple[str, ...], int]] = [((), number)]
    left = _LOOK_AT
    while waiting:
        path, at = waiting.pop(0)
        struct = btf.type(btf.resolve(at))
        if not isinstance(struct, kinds.Struct):
            continue
        for member in struct.members:
            left -= 1
            if left < 0:
                return
            if not member.name:
                waiting.insert(0, (path, member.type))
                continue
            yield path, member
            if len(path) < _EMBEDDED_DEPTH:
                waiting.append(((*path, printable(member.name)), member.type))


def _alike(wanted: str, name: str) -> float:
    if wanted.strip("_") == name.strip("_"):
        return 1.0
    ratio = difflib.SequenceMatcher(None, wanted, name).ratio()
    return max(ratio, 0.7) if len(wanted) > 3 and (wanted in name or name in wanted) and len(name) > 3 else ratio


def _reason(wanted: str, name: str) -> str:
    if wanted == name:
        return "the same name"
    if wanted.strip("_") == name.strip("_"):
        return "the same name with other underscores"
    return "a name like it"


def _fits(local: Btf, local_type: int, btf: Btf, number: int) -> bool:
    try:
        if not compat.fields_compatible(local, local_type, btf, number):
            return False
        return local.size_of(local_type) == btf.size_of(number)
    except (Refused, BtfMalformed, SizeUnknown):
        return False


# ------------------------------------------------------------------------------------------------- types and values


def _near_types(spec: Spec, target: Target) -> list[Near]:
    """Return types of the kernel with another kind and this name, or with a name like it."""
    name = essential(spec.btf.name_of(spec.root))
    vmlinux = target.vmlinux
    if vmlinux is None or not name:
        return []
    found = [
        Near(title(vmlinux, number), _size(vmlinux, number), "the same name, and another kind of type")
        for number in vmlinux.own_candidates(name)
    ]
    kind = spec.btf.kind(spec.root)
    names = {n for n in vmlinux.names_like(name, _LOOK_AT) if n != name}
    for other in difflib.get_close_matches(name, _likeliest(name, names), _NEAREST, _CLOSE):
        for number in vmlinux.own_named(other)[:1]:
            if compat.kinds_compatible(kind, vmlinux.kind(number)):
                found.append(Near(title(vmlinux, number), _size(vmlinux, number), "a name like it"))
    return found[:_NEAREST]


def _likeliest(wanted: str, names: set[str]) -> list[str]:
    """Return the names that share the most runs of three letters with ``wanted``: difflib takes long over thousands."""
    runs = {wanted[i : i + 3] for i in range(len(wanted) - 2)}
    scored = [(len(runs & {n[i : i + 3] for i in range(len(n) - 2)}) / (len(n) + len(wanted)), n) for n in names]
    return [name for _, name in sorted(scored, reverse=True)[:_FEW]]


def _near_values(spec: Spec, target: Target) -> list[Near]:
    """Return values of the kernel's enum with names like the missing one."""
    wanted = essential(spec.accessors[0].name or "")
    found: list[Near] = []
    for candidate in target.candidates(spec.btf, spec.root)[:1]:
        enum = candidate.btf.type(candidate.btf.resolve(candidate.number))
        if isinstance(enum, kinds.Enum):
            values = {value.name: value.value for value in enum.values}
            for name in difflib.get_close_matches(wanted, list(values), _NEAREST, _CLOSE):
                found.append(Near(printable(name), str(values[name]), "a name like it"))
    return found


def _size(btf: Btf, number: int) -> str:
    try:
        return f"{btf.size_of(number)} bytes"
    except SizeUnknown:
        return kinds.KIND_NAMES[btf.kind(number)] if btf.kind(number) < len(kinds.KIND_NAMES) else "unknown"
