// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Each program counts the datagrams to one UDP port, and drops those that begin with its own mark. */
#include <everykernel.h>

#define DROP  2	   /* TC_ACT_SHOT */
#define GO_ON (-1) /* TC_ACT_UNSPEC */

__u32 wanted_port; /* set by the check */
__u64 seen[5];

static __always_inline int judge(struct __sk_buff *skb, int number, char mark)
{
	__u8 head[43];

	/* Ethernet (14 bytes), IPv4 (20), UDP (8), and the first byte behind */
	if (bpf_skb_load_bytes(skb, 0, head, sizeof(head)) < 0 || head[12] != 8 || head[14] != 0x45 || head[23] != 17)
		return GO_ON;
	if (((__u32)head[36] << 8 | head[37]) != wanted_port)
		return GO_ON;
	__sync_fetch_and_add(&seen[number], 1);
	return head[42] == mark ? DROP : GO_ON;
}

SEC("tc/egress")
int outgoing(struct __sk_buff *skb)
{
	return judge(skb, 0, '0');
}

SEC("tc/ingress")
int incoming(struct __sk_buff *skb)
{
	return judge(skb, 1, '1');
}

SEC("tc")
int classify(struct __sk_buff *skb)
{
	return judge(skb, 2, '2');
}

SEC("classifier")
int also_classify(struct __sk_buff *skb)
{
	return judge(skb, 3, '3');
}

SEC("action")
int act(struct __sk_buff *skb)
{
	return judge(skb, 4, '4');
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
