"""The rules of cilium/ebpf v0.22.0, read off what the library does.

In brackets: the function of that release to read.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from everykernel.load.rules.libbpf import NO_ENTRIES, RING_BUFFERS
from everykernel.load.rules.rules import Asked, Machine, MapRefused, Rules
from everykernel.object import sections
from everykernel.object.maps import MAP_TYPE
from everykernel.object.reading import Reading
from everykernel.object.sections import SectionRule
from everykernel.object.spec import MapSpec

_PERF_EVENTS, _CPUS = MAP_TYPE["perf_event_array"], MAP_TYPE["cpumap"]
_NO_VALUES = frozenset({MAP_TYPE["ringbuf"], MAP_TYPE["arena"], _PERF_EVENTS})
_RING = 4096  # bytes that a tool would give a ring buffer that has no size


def match(section: str) -> tuple[Optional[SectionRule], str]:
    """Return the rule of the first row whose pattern the name begins with (matchSectionName, getProgType).

    A pattern with ``+`` takes the name up to the first slash whole, and what is behind that is the target.
    """
    stem, _, target = section.partition("/")
    for rule in sections.RULES:
        if rule.pattern.endswith("+"):
            if stem == rule.stem:
                return rule, "" if rule.type == "struct_ops" else target
        elif section.startswith(rule.pattern):
            return rule, ""
    return None, ""


def ask(spec: MapSpec, machine: Machine) -> Asked:
    """Return a map as ebpf-go asks for it (mapSpecFromBTF, fixupMagicFields); raise MapRefused for sizes it bars."""
    notes = []
    if spec.type in _NO_VALUES and spec.value_type:
        notes.append("its value type is left out")
        spec = replace(spec, value_size=0, value_type=0)
    if spec.type == _PERF_EVENTS:
        for word, size in (("KeySize", spec.key_size), ("ValueSize", spec.value_size)):
            if size not in (0, 4):
                raise MapRefused(f"{word} must be zero or four for a perf event array")
        spec = replace(spec, key_size=4, value_size=4)
    if spec.type in (_PERF_EVENTS, _CPUS) and not 0 < spec.max_entries <= machine.cpus:
        notes.append(f"max_entries was {spec.max_entries}: {machine.cpus}, one a CPU")
        spec = replace(spec, max_entries=machine.cpus)
    elif not spec.max_entries and spec.type not in NO_ENTRIES:
        entries = _RING if spec.type in RING_BUFFERS else 1
        notes.append(f"max_entries was 0: {entries}")
        spec = replace(spec, max_entries=entries)
    return Asked(spec, ", ".join(notes))


def functions(name: str, prefix: str) -> tuple[str, ...]:
    """Return a kprobe's function, then the same with the prefix of system calls (link.kprobe)."""
    return name, f"{prefix}{name}"


RULES = Rules(
    "ebpf-go",
    reading=Reading(match=match, static_functions=True, any_section=True, optional=False),
    ask=ask,
    functions=functions,
    foreign_order=True,
    whole=("maps", "programs", "slots"),
    remembers=False,
    answers=False,
    skips_unknown=True,
)
