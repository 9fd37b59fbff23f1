"""The rules of cilium/ebpf v0.22.0, read off what the library does.

In brackets: the function of that release to read. What it refuses when it opens an object is in ebpf_go_opening.py.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from everykernel.btf import kinds
from everykernel.core import Manner
from everykernel.core.patch import poison_kept_wide
from everykernel.dataclass import replace
from everykernel.load.rules import ebpf_go_opening
from everykernel.load.rules.libbpf import NO_ENTRIES, RING_BUFFERS
from everykernel.load.rules.rules import Asked, ExternRules, Machine, MapRefused, Rules
from everykernel.object import sections
from everykernel.object.maps import MAP_TYPE, MAPS_OF_MAPS
from everykernel.object.reading import Reading
from everykernel.object.sections import MANY_FUNCTIONS, SectionRule

if TYPE_CHECKING:
    from everykernel.btf import Btf
    from everykernel.object.spec import Extern, MapSpec

_PERF_EVENTS, _CPUS = MAP_TYPE["perf_event_array"], MAP_TYPE["cpumap"]
_NO_VALUES = frozenset({MAP_TYPE["ringbuf"], MAP_TYPE["arena"], _PERF_EVENTS})
_RING = 4096  # bytes that a tool would give a ring buffer that has no size
_KFUNC_POISON = 0xDEDC0DE  # kfuncCallPoisonBase
# Its table is libbpf 1.7's (elf_sections.go, generated): no programs of many functions, nor tracepoints that may sleep.
_NEWER = frozenset({"tracepoint.s", "tp.s", "raw_tracepoint.s", "raw_tp.s", "tp_btf.s"})
_SECTIONS = tuple(r for r in sections.RULES if r.attach_type not in MANY_FUNCTIONS and r.stem not in _NEWER)


def match(section: str) -> tuple[Optional[SectionRule], str]:
    """Return the rule of the first row whose pattern the name begins with (matchSectionName, getProgType).

    A pattern with ``+`` takes the name up to the first slash whole, and what is behind that is the target.
    """
    stem, _, target = section.partition("/")
    for rule in _SECTIONS:
        if rule.pattern.endswith("+"):
            if stem == rule.stem:
                return rule, "" if rule.type == "struct_ops" else target
        elif section.startswith(rule.pattern):
            return rule, ""
    return None, ""


def ask(spec: MapSpec, machine: Machine) -> Asked:
    """Return a map as ebpf-go asks for it; raise MapRefused for what it does not ask for.

    Value types of ring buffers, arenas and perf event arrays are left out (mapSpecFromBTF, canHaveValueSize); a perf
    event array has keys and values of 4 bytes, it and a map of CPUs no more entries than there are CPUs
    (fixupMagicFields). Other maps without entries get what a tool would set.
    """
    notes = []
    if any(spec.tail):
        raise MapRefused("its definition has bytes that are not zero after the five words that are known")
    if spec.type in _NO_VALUES and spec.value_type:
        notes.append("its value type is left out")
        spec = replace(spec, value_size=0)
    if spec.type in MAPS_OF_MAPS:
        if spec.value_size not in (0, 4):
            raise MapRefused("ValueSize must be zero or four for map of map")
        if spec.inner is None:
            raise MapRefused("it holds maps, and nothing says which (InnerMap)")
        spec = replace(spec, value_size=4)
    if spec.type == _PERF_EVENTS:
        for word, size in (("KeySize", spec.key_size), ("ValueSize", spec.value_size)):
            if size not in (0, 4):
                raise MapRefused(f"{word} must be zero or four for perf event array")
        spec = replace(spec, key_size=4, value_size=4)
    if spec.type in (_PERF_EVENTS, _CPUS) and not 0 < spec.max_entries <= machine.cpus:
        notes.append(f"max_entries was {spec.max_entries}: {machine.cpus}, one a CPU")
        spec = replace(spec, max_entries=machine.cpus)
    elif not spec.max_entries and spec.type not in NO_ENTRIES and spec.type != MAP_TYPE["arena"]:
        entries = _RING if spec.type in RING_BUFFERS else 1
        notes.append(f"max_entries was 0: {entries}")
        spec = replace(spec, max_entries=entries)
    return Asked(spec, ", ".join(notes))


def unfit(btf: Btf, extern: Extern) -> str:
    """Return why a setting's type does not do (resolveKconfig): the kernel's version has to be a bare integer."""
    if extern.name not in ("LINUX_KERNEL_VERSION", "LINUX_HAS_SYSCALL_WRAPPER"):
        return ""
    found = btf.type(btf.type(extern.type_id).type)  # type: ignore[union-attr]
    if not isinstance(found, kinds.Int):
        return f"variable {extern.name} must be an integer, not a {found.kind}"
    if extern.name == "LINUX_KERNEL_VERSION" and found.size != 4:
        return f"variable {extern.name} must be an integer of 32 bits, not of {8 * found.size}"
    return ""


def functions(name: str, prefix: str) -> tuple[str, ...]:
    """Return a kprobe's function, then the same with the prefix of system calls (link.kprobe)."""
    return name, f"{prefix}{name}"


RULES = Rules(
    "ebpf-go",
    reading=Reading(
        match=match,
        static_functions=True,
        static_maps=True,  # one that nothing refers to: else ebpf_go_opening.py
        variables=ebpf_go_opening.holds_variables,
        any_section=True,
        exceptions=False,
        undefined=True,
        aliases=False,
        optional=False,
        structs=frozenset({".struct_ops", ".struct_ops.link"}),
        checks=ebpf_go_opening.CHECKS,
    ),
    manner=Manner(agree=False, poison=poison_kept_wide),
    ask=ask,
    externs=ExternRules(
        settings=frozenset({"LINUX_KERNEL_VERSION", "LINUX_HAS_SYSCALL_WRAPPER"}),
        unfit=unfit,
        together=True,
        flavours=False,
        mismatch_missing=False,
        kfunc_poison=_KFUNC_POISON,
    ),
    functions=functions,
    foreign_order=True,
    no_targets=frozenset({"lsm_cgroup", "trace_fsession", "ext"}),
    asks_anyway=True,
    contexts=False,
    qualified=False,
    one_target=True,
    whole=("maps", "programs", "slots"),
    remembers=False,
    answers=False,
    skips_unknown=True,
    kept_kinds=frozenset({"float"}),
    structs_first=False,
    maps_arenas=False,
    keeps_symbols=False,
)
