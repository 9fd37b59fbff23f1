// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A classifier that writes into the packet and into its context, and an action. Needs no relocation. */
#include <everykernel.h>

SEC("tc")
int classify(struct __sk_buff *skb)
{
	__u8 byte;

	if (bpf_skb_load_bytes(skb, 20, &byte, 1) < 0)
		return 2; /* TC_ACT_SHOT */
	byte ^= 0xff;
	EK_ASSERT(bpf_skb_store_bytes(skb, 20, &byte, 1, 0) == 0);
	skb->mark = skb->len;
	skb->priority += 5;
	EK_HIT();
	return 0; /* TC_ACT_OK */
}

SEC("action")
int act(struct __sk_buff *skb)
{
	EK_HIT();
	return skb->len > 100 ? 2 : 3;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
