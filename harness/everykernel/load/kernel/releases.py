"""In which release Linux first had a helper or a type. For messages only: what a kernel has is probed.

The kernel's enums only grow at their end, so a table holds the first number that a release added. Releases up to v5.10
are left out: it is the oldest kernel that is tested. Source: include/uapi/linux/bpf.h of each release; a test compares
with the BTF of kernels.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from bisect import bisect_right

from everykernel.load.kernel.helpers import HELPERS
from everykernel.object.maps import MAP_TYPES
from everykernel.object.sections import ATTACH_TYPES, PROGRAM_TYPES

_FIRST = {
    "helper": (HELPERS, (
        ("task_storage_get", "v5.11"), ("check_mtu", "v5.12"), ("for_each_map_elem", "v5.13"), ("sys_bpf", "v5.14"),
        ("timer_init", "v5.15"), ("get_branch_snapshot", "v5.16"), ("find_vma", "v5.17"), ("get_retval", "v5.18"),
        ("kptr_xchg", "v5.19"), ("tcp_raw_gen_syncookie_ipv4", "v6.0"), ("ktime_get_tai_ns", "v6.1"),
        ("cgrp_storage_get", "v6.2"),
    )),
    "map": (MAP_TYPES, (
        ("task_storage", "v5.11"), ("bloom_filter", "v5.16"), ("user_ringbuf", "v6.1"), ("cgrp_storage", "v6.2"),
        ("arena", "v6.9"), ("insn_array", "v6.19"), ("rhash", "v7.2"),
    )),
    "program": (PROGRAM_TYPES, (("syscall", "v5.14"), ("netfilter", "v6.4"))),
    "attach": (ATTACH_TYPES, (
        ("sk_skb_verdict", "v5.13"), ("sk_reuseport_select", "v5.14"), ("perf_event", "v5.15"),
        ("trace_kprobe_multi", "v5.18"), ("lsm_cgroup", "v6.0"), ("struct_ops", "v6.4"), ("tcx_ingress", "v6.6"),
        ("cgroup_unix_connect", "v6.7"), ("trace_kprobe_session", "v6.10"), ("trace_uprobe_session", "v6.13"),
        ("trace_fsession", "v7.0"), ("trace_fentry_multi", "v7.2"),
    )),
}  # fmt: skip
_STARTS = {kind: [names.index(name) for name, _ in rows] for kind, (names, rows) in _FIRST.items()}


def first(kind: str, number: int) -> str:
    """Return the first release with a ``helper``, ``map``, ``program`` or ``attach`` type of this number.

    "" for what v5.10 has, and for numbers that are not known here.
    """
    names, rows = _FIRST[kind]
    index = bisect_right(_STARTS[kind], number) - 1
    return rows[index][1] if index >= 0 and number < len(names) else ""


def since(kind: str, number: int) -> str:
    """Return the same as words to go on with: `` (Linux has it since v6.9)``, "" where there is nothing to say."""
    release = first(kind, number)
    return f" (Linux has it since {release})" if release else ""
