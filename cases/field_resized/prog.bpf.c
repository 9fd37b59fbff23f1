// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Fields that have another size in another kernel. sock.sk_tsflags has 2 bytes up to 6.1 and 4 in 6.12: a plain load of an
 * unsigned integer is made as wide as the field. netns_ipv4.sysctl_tcp_comp_sack_nr was an int in 5.10 and is a byte
 * since: read by the size, sign and shifts that the relocations give.
 */
#include <everykernel.h>
#include <core_read.h>
#include <bpf/bpf_tracing.h>

struct netns_ipv4 {
	int sysctl_tcp_comp_sack_nr;
} __attribute__((preserve_access_index));

struct net {
	struct netns_ipv4 ipv4;
} __attribute__((preserve_access_index));

struct nsproxy {
	struct net *net_ns;
} __attribute__((preserve_access_index));

struct task_struct {
	struct nsproxy *nsproxy;
} __attribute__((preserve_access_index));

struct sock {
	__u32 sk_tsflags;
} __attribute__((preserve_access_index));

struct socket {
	struct sock *sk;
} __attribute__((preserve_access_index));

__s64 comp_sack_nr;
__u32 comp_sack_nr_size; /* in this kernel, bytes */
__u64 tsflags;
__u32 tsflags_size;

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net *net;

	if (!EK_MINE())
		return 0;
	net = EK_READ(task, nsproxy, net_ns);
	comp_sack_nr = BPF_CORE_READ_BITFIELD_PROBED(net, ipv4.sysctl_tcp_comp_sack_nr);
	comp_sack_nr_size = bpf_core_field_size(net->ipv4.sysctl_tcp_comp_sack_nr);
	EK_HIT();
	return 0;
}

SEC("fentry/inet_release")
int BPF_PROG(on_release, struct socket *socket)
{
	if (!EK_MINE())
		return 0;
	tsflags = socket->sk->sk_tsflags;
	tsflags_size = bpf_core_field_size(socket->sk->sk_tsflags);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
