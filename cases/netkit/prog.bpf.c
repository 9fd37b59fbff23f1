// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts packets, and drops those that begin with a mark. Needs no relocation. */
#include <everykernel.h>

#define NETKIT_NEXT (-1) /* enum netkit_action: what the pair does without a program */
#define NETKIT_DROP 2

__u64 primary, peer;

static __always_inline int judge(struct __sk_buff *skb, __u64 *count)
{
	__u8 first = 0;

	__sync_fetch_and_add(count, 1);
	bpf_skb_load_bytes(skb, 14, &first, 1); /* behind an Ethernet header */
	return first == '#' ? NETKIT_DROP : NETKIT_NEXT;
}

SEC("netkit/primary")
int from_primary(struct __sk_buff *skb)
{
	return judge(skb, &primary);
}

SEC("netkit/peer")
int from_peer(struct __sk_buff *skb)
{
	return judge(skb, &peer);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
