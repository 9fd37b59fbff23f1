// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts the datagrams to one UDP port on their way out and in, and drops those that are marked on their way in. */
#include <everykernel.h>

#include <bpf/bpf_endian.h>

#define TCX_NEXT (-1) /* enum tcx_action_base: let the next program, then the packet, go on */
#define TCX_DROP 2

__u32 wanted_port; /* set by the check */
__u64 out, in;

static __always_inline int payload(struct __sk_buff *skb)
{
	__u8 head[43];

	/* Ethernet (14 bytes), IPv4 (20), UDP (8), and the first byte behind */
	if (bpf_skb_load_bytes(skb, 0, head, sizeof(head)) < 0 || head[12] != 8 || head[14] != 0x45 || head[23] != 17)
		return -1;
	return ((__u32)head[36] << 8 | head[37]) == wanted_port ? head[42] : -1;
}

SEC("tcx/egress")
int outgoing(struct __sk_buff *skb)
{
	if (payload(skb) >= 0)
		__sync_fetch_and_add(&out, 1);
	return TCX_NEXT;
}

SEC("tcx/ingress")
int incoming(struct __sk_buff *skb)
{
	int first = payload(skb);

	if (first >= 0)
		__sync_fetch_and_add(&in, 1);
	return first == '#' ? TCX_DROP : TCX_NEXT;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
