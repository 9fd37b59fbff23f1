// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Types and functions of the module veth, which vmlinux does not know. */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct veth_priv {
	void *peer;
	unsigned int requested_headroom;
} __attribute__((preserve_access_index));

struct sk_buff;
struct net_device;

unsigned int offset;
bool exists;
__u64 sent;

SEC("fentry/veth_xmit")
int BPF_PROG(by_name, struct sk_buff *skb, struct net_device *device)
{
	sent++;
	return 0;
}

SEC("fentry/veth:veth_xmit")
int BPF_PROG(by_module, struct sk_buff *skb, struct net_device *device)
{
	return 0;
}

SEC("fentry/dummy:veth_xmit")
int BPF_PROG(by_other_module, struct sk_buff *skb, struct net_device *device)
{
	return 0;
}

SEC("socket")
int look(struct __sk_buff *skb)
{
	offset = bpf_core_field_offset(struct veth_priv, requested_headroom);
	exists = bpf_core_type_exists(struct veth_priv);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
