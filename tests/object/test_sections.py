"""Section names: the table and the rules by which a name matches."""

from __future__ import annotations

import pytest

from everykernel.object import sections


@pytest.mark.parametrize(
    ("name", "program_type", "attach_type", "target"),
    [
        ("kprobe/do_unlinkat", "kprobe", "", "do_unlinkat"),
        ("kprobe", "kprobe", "", ""),
        ("tracepoint/sched/sched_switch", "tracepoint", "", "sched/sched_switch"),
        ("tp/sched/sched_switch", "tracepoint", "", "sched/sched_switch"),
        ("raw_tp.w/nbd_send_request", "raw_tracepoint_writable", "", "nbd_send_request"),
        ("fentry.s/vfs_read", "tracing", "trace_fentry", "vfs_read"),
        ("fexit/nf_conntrack:nf_ct_get_id", "tracing", "trace_fexit", "nf_conntrack:nf_ct_get_id"),
        ("lsm/file_open", "lsm", "lsm_mac", "file_open"),
        ("iter/task", "tracing", "trace_iter", "task"),
        ("xdp", "xdp", "xdp", ""),
        ("xdp.frags/cpumap", "xdp", "xdp_cpumap", ""),
        ("cgroup/connect6", "cgroup_sock_addr", "cgroup_inet6_connect", ""),
        ("cgroup_skb/egress", "cgroup_skb", "cgroup_inet_egress", ""),
        ("tc", "sched_cls", "", ""),
        ("struct_ops.s/init", "struct_ops", "", "init"),
    ],
)
def test_known_names(name: str, program_type: str, attach_type: str, target: str) -> None:
    """A name of libbpf's table stands for its program type, attach type and target."""
    rule, found = sections.match(name)
    assert rule is not None
    assert (rule.type, rule.attach_type, found) == (program_type, attach_type, target)


@pytest.mark.parametrize(
    "name", ["xdp/prog", "kprobes/do_unlinkat", "socket1", "cgroup/connect7", "", "tc_ingress", "maps"]
)
def test_names_that_stand_for_nothing(name: str) -> None:
    """Names match exactly, but for those that take a target behind a slash; libbpf 1.x has no prefixes any more."""
    assert sections.match(name) == (None, "")


def test_types_of_the_table_are_the_kernels() -> None:
    """Every row names a program type and an attach type that the kernel's enums have."""
    for rule in sections.RULES:
        assert rule.type in sections.PROGRAM_TYPE, rule
        assert not rule.attach_type or rule.attach_type in sections.ATTACH_TYPE, rule


def test_numbers_are_the_kernels() -> None:
    """Program and attach types have the numbers of include/uapi/linux/bpf.h."""
    assert sections.PROGRAM_TYPE["xdp"] == 6
    assert sections.PROGRAM_TYPE["tracing"] == 26
    assert sections.PROGRAM_TYPE["netfilter"] == 32
    assert sections.ATTACH_TYPE["trace_fentry"] == 24
    assert sections.ATTACH_TYPE["xdp"] == 37
    assert sections.ATTACH_TYPE["trace_uprobe_session"] == 57


def test_sleepable_and_optional_rows() -> None:
    """``.s`` programs may sleep; an expected attach type may be left out only where libbpf leaves it out."""
    assert sections.match("fentry.s/x")[0].sleepable  # type: ignore[union-attr]
    assert sections.match("syscall")[0].sleepable  # type: ignore[union-attr]
    assert not sections.match("fentry/x")[0].sleepable  # type: ignore[union-attr]
    assert sections.match("xdp")[0].expected_optional  # type: ignore[union-attr]
    assert not sections.match("xdp/devmap")[0].expected_optional  # type: ignore[union-attr]
