"""Section names: which program type, attach type and flags a name stands for.

Source: the table section_defs of libbpf 1.8 (tools/lib/bpf/libbpf.c) and the enums of include/uapi/linux/bpf.h. A name
that ends in ``+`` matches itself and itself with ``/…`` behind it, any other matches exactly (libbpf's
sec_def_matches). The first row that matches wins.

This module travels to the guest: standard library only, Python 3.9.
"""

from __future__ import annotations

from typing import Optional

from everykernel.namedtuple import NamedTuple

PROGRAM_TYPES = (
    "unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb",
    "cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint",
    "cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl",
    "raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall",
    "netfilter",
)  # fmt: skip
"""The kernel's enum bpf_prog_type, in order."""

ATTACH_TYPES = (
    "cgroup_inet_ingress", "cgroup_inet_egress", "cgroup_inet_sock_create", "cgroup_sock_ops", "sk_skb_stream_parser",
    "sk_skb_stream_verdict", "cgroup_device", "sk_msg_verdict", "cgroup_inet4_bind", "cgroup_inet6_bind",
    "cgroup_inet4_connect", "cgroup_inet6_connect", "cgroup_inet4_post_bind", "cgroup_inet6_post_bind",
    "cgroup_udp4_sendmsg", "cgroup_udp6_sendmsg", "lirc_mode2", "flow_dissector", "cgroup_sysctl",
    "cgroup_udp4_recvmsg", "cgroup_udp6_recvmsg", "cgroup_getsockopt", "cgroup_setsockopt", "trace_raw_tp",
    "trace_fentry", "trace_fexit", "modify_return", "lsm_mac", "trace_iter", "cgroup_inet4_getpeername",
    "cgroup_inet6_getpeername", "cgroup_inet4_getsockname", "cgroup_inet6_getsockname", "xdp_devmap",
    "cgroup_inet_sock_release", "xdp_cpumap", "sk_lookup", "xdp", "sk_skb_verdict", "sk_reuseport_select",
    "sk_reuseport_select_or_migrate", "perf_event", "trace_kprobe_multi", "lsm_cgroup", "struct_ops", "netfilter",
    "tcx_ingress", "tcx_egress", "trace_uprobe_multi", "cgroup_unix_connect", "cgroup_unix_sendmsg",
    "cgroup_unix_recvmsg", "cgroup_unix_getpeername", "cgroup_unix_getsockname", "netkit_primary", "netkit_peer",
    "trace_kprobe_session", "trace_uprobe_session", "trace_fsession", "trace_fentry_multi", "trace_fexit_multi",
    "trace_fsession_multi",
)  # fmt: skip
"""The kernel's enum bpf_attach_type, in order."""

PROGRAM_TYPE = {name: number for number, name in enumerate(PROGRAM_TYPES)}
ATTACH_TYPE = {name: number for number, name in enumerate(ATTACH_TYPES)}

MANY_FUNCTIONS = frozenset({"trace_fentry_multi", "trace_fexit_multi", "trace_fsession_multi"})
"""Attach types of programs that are loaded for no function, and attached to many."""

SLEEPABLE, XDP_HAS_FRAGS = 1 << 4, 1 << 5  # program flags

# How a program of a section attaches; `load.attach` has one function for each that it knows.
KPROBE, KRETPROBE, KSYSCALL, KRETSYSCALL = "kprobe", "kretprobe", "ksyscall", "kretsyscall"
TRACEPOINT, RAW_TRACEPOINT, TRACE, LSM, ITER = "tracepoint", "raw_tracepoint", "trace", "lsm", "iter"
OTHER = ""


class SectionRule(NamedTuple):
    """One row.

    ``expected_optional``: the expected attach type is left out on kernels that do not know the field. ``btf``: the
    target is a type of the kernel's BTF. ``frags``: XDP on packets in several buffers.
    """

    pattern: str
    type: str
    attach_type: str = ""
    how: str = OTHER
    sleepable: bool = False
    btf: bool = False
    frags: bool = False
    expected_optional: bool = False

    @property
    def stem(self) -> str:
        """The pattern without its ``+``."""
        return self.pattern.rstrip("+")

    @property
    def flags(self) -> int:
        """What the program is loaded with: BPF_F_SLEEPABLE, BPF_F_XDP_HAS_FRAGS."""
        return (SLEEPABLE if self.sleepable else 0) | (XDP_HAS_FRAGS if self.frags else 0)


def _optional(pattern: str, type_: str, attach_type: str) -> SectionRule:
    return SectionRule(pattern, type_, attach_type, expected_optional=True)


def _trace(pattern: str, type_: str, attach_type: str, how: str = TRACE) -> tuple[SectionRule, SectionRule]:
    stem = pattern.rstrip("+")
    return (
        SectionRule(pattern, type_, attach_type, how, btf=True),
        SectionRule(f"{stem}.s+", type_, attach_type, how, btf=True, sleepable=True),
    )


def _multi(word: str, attach_type: str, type_: str = "kprobe") -> tuple[SectionRule, SectionRule]:
    return (
        SectionRule(f"{word}+", type_, attach_type),
        SectionRule(f"{word}.s+", type_, attach_type, sleepable=True),
    )


def _point(word: str, type_: str, how: str) -> tuple[SectionRule, SectionRule]:
    return SectionRule(f"{word}+", type_, how=how), SectionRule(f"{word}.s+", type_, how=how, sleepable=True)


def _sock_addr(hook: str, four: str, six: str, unix: str = "") -> tuple[SectionRule, ...]:
    rows = [
        SectionRule(f"cgroup/{hook}4", "cgroup_sock_addr", four),
        SectionRule(f"cgroup/{hook}6", "cgroup_sock_addr", six),
    ]
    if unix:
        rows.append(SectionRule(f"cgroup/{hook}_unix", "cgroup_sock_addr", unix))
    return tuple(rows)


RULES: tuple[SectionRule, ...] = (
    SectionRule("socket", "socket_filter"),
    SectionRule("sk_reuseport/migrate", "sk_reuseport", "sk_reuseport_select_or_migrate"),
    SectionRule("sk_reuseport", "sk_reuseport", "sk_reuseport_select"),
    SectionRule("kprobe+", "kprobe", how=KPROBE),
    SectionRule("uprobe+", "kprobe"),
    SectionRule("uprobe.s+", "kprobe", sleepable=True),
    SectionRule("kretprobe+", "kprobe", how=KRETPROBE),
    SectionRule("uretprobe+", "kprobe"),
    SectionRule("uretprobe.s+", "kprobe", sleepable=True),
    SectionRule("kprobe.multi+", "kprobe", "trace_kprobe_multi"),
    SectionRule("kretprobe.multi+", "kprobe", "trace_kprobe_multi"),
    SectionRule("kprobe.session+", "kprobe", "trace_kprobe_session"),
    *_multi("uprobe.multi", "trace_uprobe_multi"),
    *_multi("uretprobe.multi", "trace_uprobe_multi"),
    *_multi("uprobe.session", "trace_uprobe_session"),
    SectionRule("ksyscall+", "kprobe", how=KSYSCALL),
    SectionRule("kretsyscall+", "kprobe", how=KRETSYSCALL),
    SectionRule("usdt+", "kprobe"),
    SectionRule("usdt.s+", "kprobe", sleepable=True),
    SectionRule("tc/ingress", "sched_cls", "tcx_ingress"),
    SectionRule("tc/egress", "sched_cls", "tcx_egress"),
    SectionRule("tcx/ingress", "sched_cls", "tcx_ingress"),
    SectionRule("tcx/egress", "sched_cls", "tcx_egress"),
    SectionRule("tc", "sched_cls"),
    SectionRule("classifier", "sched_cls"),
    SectionRule("action", "sched_act"),
    SectionRule("netkit/primary", "sched_cls", "netkit_primary"),
    SectionRule("netkit/peer", "sched_cls", "netkit_peer"),
    *_point("tracepoint", "tracepoint", TRACEPOINT),
    *_point("tp", "tracepoint", TRACEPOINT),
    *_point("raw_tracepoint", "raw_tracepoint", RAW_TRACEPOINT),
    *_point("raw_tp", "raw_tracepoint", RAW_TRACEPOINT),
    SectionRule("raw_tracepoint.w+", "raw_tracepoint_writable", how=RAW_TRACEPOINT),
    SectionRule("raw_tp.w+", "raw_tracepoint_writable", how=RAW_TRACEPOINT),
    *_trace("tp_btf+", "tracing", "trace_raw_tp"),
    *_trace("fentry+", "tracing", "trace_fentry"),
    *_trace("fmod_ret+", "tracing", "modify_return"),
    *_trace("fexit+", "tracing", "trace_fexit"),
    *_trace("fsession+", "tracing", "trace_fsession"),
    *_multi("fentry.multi", "trace_fentry_multi", "tracing"),
    *_multi("fexit.multi", "trace_fexit_multi", "tracing"),
    *_multi("fsession.multi", "trace_fsession_multi", "tracing"),
    SectionRule("freplace+", "ext", btf=True),
    *_trace("lsm+", "lsm", "lsm_mac", LSM),
    SectionRule("lsm_cgroup+", "lsm", "lsm_cgroup", btf=True),
    *_trace("iter+", "tracing", "trace_iter", ITER),
    SectionRule("syscall", "syscall", sleepable=True),
    SectionRule("xdp.frags/devmap", "xdp", "xdp_devmap", frags=True),
    SectionRule("xdp/devmap", "xdp", "xdp_devmap"),
    SectionRule("xdp.frags/cpumap", "xdp", "xdp_cpumap", frags=True),
    SectionRule("xdp/cpumap", "xdp", "xdp_cpumap"),
    SectionRule("xdp.frags", "xdp", "xdp", frags=True),
    _optional("xdp", "xdp", "xdp"),
    SectionRule("perf_event", "perf_event"),
    SectionRule("lwt_in", "lwt_in"),
    SectionRule("lwt_out", "lwt_out"),
    SectionRule("lwt_xmit", "lwt_xmit"),
    SectionRule("lwt_seg6local", "lwt_seg6local"),
    _optional("sockops", "sock_ops", "cgroup_sock_ops"),
    _optional("sk_skb/stream_parser", "sk_skb", "sk_skb_stream_parser"),
    _optional("sk_skb/stream_verdict", "sk_skb", "sk_skb_stream_verdict"),
    _optional("sk_skb/verdict", "sk_skb", "sk_skb_verdict"),
    SectionRule("sk_skb", "sk_skb"),
    _optional("sk_msg", "sk_msg", "sk_msg_verdict"),
    _optional("lirc_mode2", "lirc_mode2", "lirc_mode2"),
    _optional("flow_dissector", "flow_dissector", "flow_dissector"),
    _optional("cgroup_skb/ingress", "cgroup_skb", "cgroup_inet_ingress"),
    _optional("cgroup_skb/egress", "cgroup_skb", "cgroup_inet_egress"),
    SectionRule("cgroup/skb", "cgroup_skb"),
    SectionRule("cgroup/sock_create", "cgroup_sock", "cgroup_inet_sock_create"),
    SectionRule("cgroup/sock_release", "cgroup_sock", "cgroup_inet_sock_release"),
    _optional("cgroup/sock", "cgroup_sock", "cgroup_inet_sock_create"),
    SectionRule("cgroup/post_bind4", "cgroup_sock", "cgroup_inet4_post_bind"),
    SectionRule("cgroup/post_bind6", "cgroup_sock", "cgroup_inet6_post_bind"),
    *_sock_addr("bind", "cgroup_inet4_bind", "cgroup_inet6_bind"),
    *_sock_addr("connect", "cgroup_inet4_connect", "cgroup_inet6_connect", "cgroup_unix_connect"),
    *_sock_addr("sendmsg", "cgroup_udp4_sendmsg", "cgroup_udp6_sendmsg", "cgroup_unix_sendmsg"),
    *_sock_addr("recvmsg", "cgroup_udp4_recvmsg", "cgroup_udp6_recvmsg", "cgroup_unix_recvmsg"),
    *_sock_addr("getpeername", "cgroup_inet4_getpeername", "cgroup_inet6_getpeername", "cgroup_unix_getpeername"),
    *_sock_addr("getsockname", "cgroup_inet4_getsockname", "cgroup_inet6_getsockname", "cgroup_unix_getsockname"),
    SectionRule("cgroup/sysctl", "cgroup_sysctl", "cgroup_sysctl"),
    SectionRule("cgroup/getsockopt", "cgroup_sockopt", "cgroup_getsockopt"),
    SectionRule("cgroup/setsockopt", "cgroup_sockopt", "cgroup_setsockopt"),
    _optional("cgroup/dev", "cgroup_device", "cgroup_device"),
    SectionRule("struct_ops+", "struct_ops"),
    SectionRule("struct_ops.s+", "struct_ops", sleepable=True),
    SectionRule("sk_lookup", "sk_lookup", "sk_lookup"),
    SectionRule("netfilter", "netfilter", "netfilter"),
)

_EXACT = {rule.stem: rule for rule in reversed(RULES)}
_PREFIXED = {rule.stem for rule in RULES if rule.pattern.endswith("+")}


def by_stem(stem: str) -> SectionRule:
    """Return the rule of a section's first part; raise KeyError for one that is not in the table."""
    return _EXACT[stem]


def match(section: str) -> tuple[Optional[SectionRule], str]:
    """Return the rule for a section's name (without ``?``) and what stands after the rule's own part and its slash."""
    rule = _EXACT.get(section)
    if rule is not None:
        return rule, ""
    stem, slash, target = section.partition("/")
    if slash and stem in _PREFIXED:
        return _EXACT[stem], target
    return None, ""
