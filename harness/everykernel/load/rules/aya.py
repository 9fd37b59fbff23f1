"""The rules of aya 0.16.0 with aya-obj 0.6.0, read off what the library does.

aya opens, relocates and creates the maps of an object at once: what it refuses there, it refuses for every program. In
brackets: the function of that release to read.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import Optional

from everykernel.core.manner import Manner
from everykernel.core.patch import calls
from everykernel.dataclass import replace
from everykernel.load.rules import aya_opening
from everykernel.load.rules.libbpf import NO_ENTRIES
from everykernel.load.rules.rules import Asked, ExternRules, Machine, Rules
from everykernel.object import sections
from everykernel.object.maps import MAP_TYPE
from everykernel.object.reading import Reading
from everykernel.object.sections import SectionRule
from everykernel.object.spec import MapSpec

_PERF_EVENTS, _RINGBUF = MAP_TYPE["perf_event_array"], MAP_TYPE["ringbuf"]
_REDIRECTS = frozenset(MAP_TYPE[n] for n in ("cpumap", "devmap", "devmap_hash"))
_NO_ENTRIES = NO_ENTRIES | {MAP_TYPE["cpumap"]}  # that other libraries size by themselves, and aya does not
_REDIRECT_VALUE = 8  # bytes: an index and a program; kernels before v5.8 and v5.9 take the index alone

# The first element of a section's name, where what follows it means nothing (ProgramSection::from_str).
_FREE = frozenset(
    (
        "classifier", "flow_dissector", "lirc_mode2", "perf_event", "sk_lookup", "sk_msg", "socket", "sockops",
    )
)  # fmt: skip
# Those that a target follows.
_TARGETED = frozenset(
    (
        "fentry", "fentry.s", "fexit", "fexit.s", "freplace", "iter", "iter.s", "kprobe", "kretprobe", "lsm", "lsm.s",
        "lsm_cgroup", "raw_tp", "raw_tracepoint", "tp", "tp_btf", "tracepoint", "uprobe", "uprobe.multi",
        "uprobe.multi.s", "uprobe.s", "uretprobe", "uretprobe.multi", "uretprobe.multi.s", "uretprobe.s",
    )
)  # fmt: skip
# Those whose second element has to be one of these; what follows that means nothing.
_SECOND = {
    "cgroup": frozenset(
        (
            "bind4", "bind6", "connect4", "connect6", "dev", "getpeername4", "getpeername6", "getsockname4",
            "getsockname6", "getsockopt", "post_bind4", "post_bind6", "recvmsg4", "recvmsg6", "sendmsg4", "sendmsg6",
            "setsockopt", "skb", "sock", "sock_create", "sock_release", "sysctl",
        )
    ),
    "cgroup_skb": frozenset(("egress", "ingress")),
    "sk_reuseport": frozenset(("", "migrate")),
    "sk_skb": frozenset(("stream_parser", "stream_verdict")),
    "xdp": frozenset(("", "cpumap", "devmap")),
    "xdp.frags": frozenset(("", "cpumap", "devmap")),
}  # fmt: skip

# Maps that a program of aya can use (parse_map).
_MAPS = frozenset(
    MAP_TYPE[n]
    for n in (
        "array", "array_of_maps", "bloom_filter", "cgroup_array", "cgroup_storage", "cgrp_storage", "cpumap", "devmap",
        "devmap_hash", "hash", "hash_of_maps", "inode_storage", "lpm_trie", "lru_hash", "lru_percpu_hash",
        "percpu_array", "percpu_cgroup_storage", "percpu_hash", "perf_event_array", "prog_array", "queue",
        "reuseport_sockarray", "ringbuf", "sk_storage", "sockhash", "sockmap", "stack", "stack_trace", "xskmap",
    )
)  # fmt: skip
# Maps whose types are left out (bpf_create_map).
_UNTYPED = frozenset(
    MAP_TYPE[n]
    for n in (
        "array_of_maps", "cgroup_array", "cpumap", "devmap", "devmap_hash", "hash_of_maps", "perf_event_array", "queue",
        "ringbuf", "sockhash", "sockmap", "stack", "stack_trace", "xskmap",
    )
)  # fmt: skip


def match(section: str) -> tuple[Optional[SectionRule], str]:
    """Return what the elements of a section's name stand for, and its target (ProgramSection::from_str)."""
    first, _, rest = section.partition("/")
    if first in _TARGETED:
        return sections.match(first)[0], rest
    if first in _FREE:
        return sections.match(first)[0], ""
    second = rest.partition("/")[0]
    if second in _SECOND.get(first, ()) and (second or first == section):
        return sections.match(f"{first}/{second}".rstrip("/"))[0], ""
    return None, ""


def ask(spec: MapSpec, machine: Machine) -> Asked:
    """Return a map as aya asks for it (max_entries_override, value_size_override)."""
    notes = []
    value = 0 if spec.type == _RINGBUF else _REDIRECT_VALUE if spec.type in _REDIRECTS else spec.value_size
    if value != spec.value_size:
        notes.append(f"value_size was {spec.value_size}: {value}")
    entries = spec.max_entries
    if not entries and spec.type == _PERF_EVENTS:
        entries = machine.cpus
    elif not entries and spec.type not in _NO_ENTRIES:
        entries = 1  # as a tool would set it
    if spec.type == _RINGBUF:
        pages = -(-entries // machine.page_size)
        entries = machine.page_size << (pages - 1).bit_length()
    if entries != spec.max_entries:
        notes.append(f"max_entries was {spec.max_entries}: {entries}")
    return Asked(replace(spec, value_size=value, max_entries=entries), ", ".join(notes))


RULES = Rules(
    "aya",
    reading=Reading(
        match=match,
        static_functions=True,
        static_maps=True,
        definition=aya_opening.definition,
        variables=aya_opening.holds_variables,
        exceptions=False,
        any_section=True,
        optional=False,
        structs=frozenset(),
        no_license="GPL",
        checks=aya_opening.checks(match),
    ),
    manner=Manner(
        modules=False,
        narrows=False,
        everything=True,
        refuses_missing=True,
        refuses_resized=True,
        poison=calls,
    ),
    ask=ask,
    externs=ExternRules(settings=frozenset(), variable_mismatch_missing=True, modules=False),
    first=("types_of_use", "externs", "maps", "known_maps"),
    settable=frozenset({"max_entries"}),
    untyped=_UNTYPED,
    types_optional=False,
    contexts=False,
    maps_known=_MAPS,
    whole=("programs",),
    extensions=False,
    remembers=False,
    answers=False,
    qualified=False,
)
