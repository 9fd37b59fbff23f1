// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A socket filter that keeps a packet's first bytes up to a mark in it. Needs no relocation, no map, no BTF. */
#include <everykernel.h>

SEC("socket")
int up_to_mark(struct __sk_buff *skb)
{
	__u8 byte;
	int i;

	for (i = 0; i < 64; i++) {
		if (bpf_skb_load_bytes(skb, i, &byte, 1) < 0)
			return 0;
		if (byte == '#')
			return i + 1;
	}
	return skb->len;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
