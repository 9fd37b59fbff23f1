"""In which release upstream first had a helper, a type or a flag, and the one way in which messages say so.

For messages only, never for a decision: what this kernel has is probed, and vendors bring back what upstream has later.
So a message may say since when *upstream* has something, and never that this kernel lacks it by its number.

The kernel's enums only grow at their end, so a table holds the first number that a release added; what v4.14 has is
left out. Source: include/uapi/linux/bpf.h of each release; up to v5.10 also iovisor/bcc's docs/kernel-versions.md and
the commits that it names. From v5.10 on a test compares with the BTF of kernels.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from bisect import bisect_right

from everykernel.load.kernel.helpers import HELPERS
from everykernel.object.maps import MAP_TYPES
from everykernel.object.sections import ATTACH_TYPES, PROGRAM_TYPES

_FIRST = {
    "helper": (HELPERS, (
        ("xdp_adjust_meta", "v4.15"), ("override_return", "v4.16"), ("msg_redirect_map", "v4.17"),
        ("xdp_adjust_tail", "v4.18"), ("get_local_storage", "v4.19"), ("sk_lookup_tcp", "v4.20"),
        ("msg_pop_data", "v5.0"), ("spin_lock", "v5.1"), ("skc_lookup_tcp", "v5.2"), ("send_signal", "v5.3"),
        ("tcp_gen_syncookie", "v5.4"), ("skb_output", "v5.5"), ("tcp_send_ack", "v5.6"),
        ("read_branch_records", "v5.7"), ("ktime_get_boot_ns", "v5.8"), ("skc_to_tcp6_sock", "v5.9"),
        ("load_hdr_opt", "v5.10"), ("task_storage_get", "v5.11"), ("check_mtu", "v5.12"),
        ("for_each_map_elem", "v5.13"), ("sys_bpf", "v5.14"), ("timer_init", "v5.15"),
        ("get_branch_snapshot", "v5.16"), ("find_vma", "v5.17"), ("get_retval", "v5.18"), ("kptr_xchg", "v5.19"),
        ("tcp_raw_gen_syncookie_ipv4", "v6.0"), ("ktime_get_tai_ns", "v6.1"), ("cgrp_storage_get", "v6.2"),
    )),
    "map": (MAP_TYPES, (
        ("cpumap", "v4.15"), ("xskmap", "v4.18"), ("cgroup_storage", "v4.19"), ("percpu_cgroup_storage", "v4.20"),
        ("sk_storage", "v5.2"), ("devmap_hash", "v5.4"), ("struct_ops", "v5.6"), ("ringbuf", "v5.8"),
        ("inode_storage", "v5.10"), ("task_storage", "v5.11"), ("bloom_filter", "v5.16"), ("user_ringbuf", "v6.1"),
        ("cgrp_storage", "v6.2"), ("arena", "v6.9"), ("insn_array", "v6.19"), ("rhash", "v7.2"),
    )),
    "program": (PROGRAM_TYPES, (
        ("cgroup_device", "v4.15"), ("sk_msg", "v4.17"), ("lwt_seg6local", "v4.18"), ("sk_reuseport", "v4.19"),
        ("flow_dissector", "v4.20"), ("cgroup_sysctl", "v5.2"), ("cgroup_sockopt", "v5.3"), ("tracing", "v5.5"),
        ("struct_ops", "v5.6"), ("lsm", "v5.7"), ("sk_lookup", "v5.9"), ("syscall", "v5.14"), ("netfilter", "v6.4"),
    )),
    "attach": (ATTACH_TYPES, (
        ("cgroup_device", "v4.15"), ("sk_msg_verdict", "v4.17"), ("cgroup_udp4_sendmsg", "v4.18"),
        ("flow_dissector", "v4.20"), ("cgroup_sysctl", "v5.2"), ("cgroup_getsockopt", "v5.3"),
        ("trace_raw_tp", "v5.5"), ("modify_return", "v5.7"), ("trace_iter", "v5.8"),
        ("cgroup_inet_sock_release", "v5.9"), ("sk_skb_verdict", "v5.13"), ("sk_reuseport_select", "v5.14"),
        ("perf_event", "v5.15"), ("trace_kprobe_multi", "v5.18"), ("lsm_cgroup", "v6.0"), ("struct_ops", "v6.4"),
        ("tcx_ingress", "v6.6"), ("cgroup_unix_connect", "v6.7"), ("trace_kprobe_session", "v6.10"),
        ("trace_uprobe_session", "v6.13"), ("trace_fsession", "v7.0"), ("trace_fentry_multi", "v7.2"),
    )),
}  # fmt: skip
# Flags of maps by their bit, with the first release; what v4.14 has is left out.
MAP_FLAGS = {
    1 << 3: ("BPF_F_RDONLY", "v4.15"), 1 << 4: ("BPF_F_WRONLY", "v4.15"), 1 << 5: ("BPF_F_STACK_BUILD_ID", "v4.17"),
    1 << 6: ("BPF_F_ZERO_SEED", "v5.0"), 1 << 7: ("BPF_F_RDONLY_PROG", "v5.2"), 1 << 8: ("BPF_F_WRONLY_PROG", "v5.2"),
    1 << 9: ("BPF_F_CLONE", "v5.4"), 1 << 10: ("BPF_F_MMAPABLE", "v5.5"), 1 << 11: ("BPF_F_PRESERVE_ELEMS", "v5.10"),
    1 << 12: ("BPF_F_INNER_MAP", "v5.10"), 1 << 17: ("BPF_F_SEGV_ON_FAULT", "v6.9"),
    1 << 18: ("BPF_F_NO_USER_CONV", "v6.9"), 1 << 19: ("BPF_F_RB_OVERWRITE", "v6.19"),
}  # fmt: skip
_STARTS = {kind: [names.index(name) for name, _ in rows] for kind, (names, rows) in _FIRST.items()}


def upstream(release: str) -> str:
    """Return how a message says since when upstream has something: ``upstream since v6.9``."""
    return f"upstream since {release}"


def first(kind: str, number: int) -> str:
    """Return the first release with a ``helper``, ``map``, ``program`` or ``attach`` type of this number.

    "" for what v4.14 has, and for numbers that are not known here.
    """
    names, rows = _FIRST[kind]
    index = bisect_right(_STARTS[kind], number) - 1
    return rows[index][1] if index >= 0 and number < len(names) else ""


def since(kind: str, number: int) -> str:
    """Return the same as words to go on with: `` (upstream since v6.9)``, "" where there is nothing to say."""
    release = first(kind, number)
    return f" ({upstream(release)})" if release else ""
