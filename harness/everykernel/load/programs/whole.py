"""What a loader would say of an object as a whole: all that it wants to be loaded, or nothing.

Each step may refuse the object; which there are, and in which order, is the loader's (`Rules.whole`), who gives up at
the first refusal. What the kernel said of each map and program serves again. Done anew is only what differs for the
whole: CO-RE, where a record ruled out a candidate (libbpf keeps one memory of candidates an object), and then each
program whose instructions come out otherwise.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Optional, Union

from everykernel import core, wire
from everykernel.dataclass import dataclass
from everykernel.load.kernel.reason import Reason
from everykernel.load.maps.map import PROG_ARRAY, type_name
from everykernel.load.programs.attempt import Attempts, replaces
from everykernel.load.programs.link import reached
from everykernel.load.programs.relocate import Relocated
from everykernel.namedtuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everykernel.core import RelocatedProgram
    from everykernel.load.kernel.operations import Operations
    from everykernel.load.programs.upload import Uploaded
    from everykernel.load.rules.rules import Rules
    from everykernel.object import ObjectSpec, ProgramSpec
    from everykernel.object.spec import StructOpsSpec

_NEED_TYPES = ("tracing", "lsm", "struct_ops")  # program types: libbpf's prog_needs_vmlinux_btf


class Refusal(NamedTuple):
    """Why libbpf gives up: a reason code, the errno of bpf_object__load, and what for; its program or map first."""

    code: str
    errno: str
    message: str


@dataclass
class Tried:
    """An object of which every program was tried by itself.

    Attributes:
        spec: the object, as the contract has it.
        programs: those that libbpf would load, in the object's order.
        attempts: loaded them, and would load them again.
        operations: each operations struct, and what it is in this kernel.
        types: the object's BTF in the kernel.
        supplied: whether a BTF was supplied for CO-RE.
        unfilled: errno by (map, slot) of static initialisers that the kernel refused.
        rules: the loader's.
    """

    spec: ObjectSpec
    programs: list[ProgramSpec]
    attempts: Attempts
    operations: list[tuple[StructOpsSpec, Union[Operations, Reason]]]
    types: Uploaded
    supplied: bool
    unfilled: Mapping[tuple[str, int], str]
    rules: Rules

    @cached_property
    def together(self) -> Optional[RelocatedProgram]:
        """All programs relocated with one memory, where that can make a difference."""
        relocated = self.attempts.relocated
        session = relocated.session
        if session is None or not self.rules.remembers:
            return None
        failed = any(p.name not in relocated.programs for p in self.programs)
        if not (session.narrowed or failed or not self.programs):
            return None
        return core.relocate_together(self.spec, self.programs, session)


def autoloaded(spec: ObjectSpec, programs: list[ProgramSpec]) -> list[ProgramSpec]:
    """Return which of these programs libbpf would load (bpf_object_adjust_struct_ops_autoload).

    Those of operations structs are loaded where a struct that holds them is created, whatever their section says.
    """
    found = []
    for program in programs:
        created = [o.autocreate for o in spec.struct_ops if program.function in dict(o.programs).values()]
        if any(created) if created else program.autoload:
            found.append(program)
    return found


def bar(tried: Tried) -> Optional[Refusal]:
    """Return why no program of the object is tried at all, where the loader decides so."""
    return next(filter(None, (_STEPS[step](tried) for step in tried.rules.first)), None)


def judge(tried: Tried) -> wire.Whole:
    """Return what the loader would say of the object."""
    refusal = bar(tried) or next(filter(None, (_STEPS[step](tried) for step in tried.rules.whole)), None)
    return {
        "loader": tried.rules.name,
        "status": wire.FAILED if refusal else wire.PASSED,
        "code": refusal.code if refusal else "",
        "errno": (refusal.errno or None) if refusal else None,
        "message": refusal.message if refusal else "",
    }


def _opening(tried: Tried) -> Optional[Refusal]:
    """Legacy maps: libbpf 1.x opens no object with a ``maps`` section, and finds none in one of another name."""
    legacy = [m for m in tried.spec.maps.values() if m.legacy]
    if not legacy:
        return None
    own = any("section 'maps'" in note for note in tried.spec.notes)
    why = f"map {legacy[0].name!r}: libbpf 1.x takes no maps of a section that is not .maps"
    return Refusal("object-unsupported", "EOPNOTSUPP" if own else "LIBBPF_ERRNO__RELOC", why)


def _kernel_types(tried: Tried) -> Optional[Refusal]:
    """The kernel's own BTF, where anything needs it (obj_needs_vmlinux_btf)."""
    spec = tried.spec
    if tried.attempts.kernel.vmlinux is not None:
        return None
    needs = (
        (spec.core_sections and not tried.supplied)
        or spec.struct_ops
        or any(r.code == "btf-missing" for r in tried.attempts.externs.resolved.values())
        or any(p.rule is not None and p.rule.type in _NEED_TYPES for p in tried.programs)
    )
    return Refusal("btf-missing", "ESRCH", "it needs the kernel's own BTF, and there is none") if needs else None


def _externs(tried: Tried) -> Optional[Refusal]:
    """Every strong extern, used or not; what is not as declared first, what is not there last."""
    missing = [r for r in tried.attempts.externs.resolved.values() if r.code and r.kind != "kconfig"]
    first = min(missing, key=lambda r: r.errno == "ESRCH", default=None)
    return Refusal(first.code, first.errno or "EINVAL", first.message) if first else None


def _operations(tried: Tried) -> Optional[Refusal]:
    for declared, found in tried.operations:
        if declared.autocreate and isinstance(found, Reason):
            return Refusal(found.code, found.errno or "EINVAL", f"map {declared.name!r}: {found.message}")
    return None


def _relocations(tried: Tried) -> Optional[Refusal]:
    relocated, together = tried.attempts.relocated, tried.together
    if relocated.rejected and tried.spec.core_sections:
        return Refusal("btf-rejected", "EINVAL", relocated.rejected)
    if together is None or together.failed is None:
        return None
    function, _, fixup = together.failed
    message = f"program {function.name!r}: {fixup.kind} {fixup.access}: {fixup.message}"
    return Refusal(fixup.code, fixup.errno, message)


def _callbacks(tried: Tried) -> Optional[Refusal]:
    """The functions that catch exceptions (bpf_prog_assign_exc_cb), where the kernel knows their tags."""
    functions = tried.spec.functions
    for program in tried.programs:
        name = functions[program.function].exception
        found = functions.get(name)
        there = found is not None and found.section == tried.spec.shared_section
        if name and not there and tried.attempts.kernel.probes.btf("decl_tag"):
            why = f"there is no function {name!r} in .text to catch its exceptions"
            return Refusal("object-malformed", "ENOENT", f"program {program.name!r}: {why}")
    return None


def _btf(tried: Tried) -> Optional[Refusal]:
    """The object's BTF, which only operations structs cannot do without."""
    if not (tried.spec.struct_ops and tried.types.refused):
        return None
    return Refusal("btf-rejected", tried.types.refused, "the kernel refuses the object's BTF")


def _maps(tried: Tried) -> Optional[Refusal]:
    for found in tried.attempts.object.maps.values():
        record = found.record
        if record["status"] == wire.FAILED:
            errno = record["errno"] or ("EINVAL" if tried.rules.answers else "")
            return Refusal(record["code"], errno, record["message"])
    return None


def _known_maps(tried: Tried) -> Optional[Refusal]:
    """Maps of types that the loader has nothing for, which it finds when they are there."""
    known = tried.rules.maps_known
    for found in tried.spec.maps.values():
        if known is not None and found.type not in known:
            why = f"map {found.name!r}: {tried.rules.name} has nothing for maps of type {type_name(found.type)}"
            return Refusal("object-unsupported", "", why)
    return None


def _types_of_use(tried: Tried) -> Optional[Refusal]:
    """The object's BTF, where CO-RE or a program that is for one place in the kernel needs it there."""
    needs = tried.spec.core_sections or any(p.rule is not None and p.rule.btf for p in tried.spec.programs)
    if not (tried.types.refused and needs):
        return None
    return Refusal("btf-rejected", tried.types.refused, "the kernel refuses the object's BTF")


def _programs(tried: Tried) -> Optional[Refusal]:
    """Each program, in the object's order; once more where its instructions are others beside the others'."""
    attempts, together = tried.attempts, tried.together
    for program in tried.programs:
        skipped = program.rule is None and tried.rules.skips_unknown
        if skipped or (replaces(program) and not tried.rules.extensions):
            continue
        record = attempts.object.programs[program.name].record
        errno = record["errno"] or _by_itself(tried, attempts, program)
        if replaces(program) and program.section.endswith(program.target) and not tried.rules.asks_anyway:
            why = "libbpf replaces no function of a program of the same object"
            return Refusal("attach-target-missing", "EINVAL", f"program {program.name!r}: {why}")
        beside = ""
        if together is not None and _differs(tried, program, together):
            record, errno = _again(tried, program, together)
            beside = "with what other programs' records leave of the kernel's types: "
        if record["status"] != wire.PASSED:
            return Refusal(record["code"], errno, f"program {program.name!r}: {beside}{record['message']}")
    return None


def _by_itself(tried: Tried, attempts: Attempts, program: ProgramSpec) -> str:
    """Return the errno with which the loader refuses a program of which the kernel was not asked, "" for none."""
    return attempts.answers.get(program.name, "EINVAL") if tried.rules.answers else ""


def _differs(tried: Tried, program: ProgramSpec, together: RelocatedProgram) -> bool:
    alone = tried.attempts.relocated.programs.get(program.name)
    parts = reached(tried.spec.functions[program.function], tried.spec.functions)
    return alone is None or any(alone.code.get(f.name) != together.code.get(f.name) for f in parts)


def _again(tried: Tried, program: ProgramSpec, together: RelocatedProgram) -> tuple[wire.ProgramRecord, str]:
    """Load a program with what it came to beside the others, and let go of it; return its record and errno."""
    relocated, attempts = Relocated(), tried.attempts
    relocated.programs[program.name] = together
    relocated.parts[program.name] = reached(tried.spec.functions[program.function], tried.spec.functions)
    once_more = attempts.with_relocations(relocated)
    record, fd = once_more.attempt(program)
    if fd >= 0:
        attempts.kernel.system.close(fd)
    return record, record["errno"] or once_more.answers.get(program.name, "EINVAL")


def _slots(tried: Tried) -> Optional[Refusal]:
    """Program arrays: what stands in them has to be loaded, and of one type."""
    loaded = {program.name for program in tried.programs}
    for made in tried.attempts.object.maps.values():
        for slot, name in made.spec.slots if made.spec.type == PROG_ARRAY and made.fd >= 0 else ():
            errno = tried.unfilled.get((made.name, slot), "" if name in loaded else "EBADF")
            if errno:
                return Refusal("load-failed", errno, f"map {made.name!r}: {errno}: slot {slot} takes no {name!r}")
    return None


_STEPS: dict[str, Callable[[Tried], Optional[Refusal]]] = {
    "opening": _opening,
    "kernel_types": _kernel_types,
    "externs": _externs,
    "operations": _operations,
    "relocations": _relocations,
    "exceptions": _callbacks,
    "btf": _btf,
    "types_of_use": _types_of_use,
    "maps": _maps,
    "known_maps": _known_maps,
    "programs": _programs,
    "slots": _slots,
}
