// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Cuts datagrams at a mark; leads datagrams to the socket that their first byte names. Needs no relocation. */
#include <everykernel.h>

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} group SEC(".maps");

SEC("socket")
int up_to_mark(struct __sk_buff *skb)
{
	__u8 byte;
	int i;

	for (i = 0; i < 64; i++) {
		if (bpf_skb_load_bytes(skb, i, &byte, 1) < 0)
			return 0;
		if (byte == '#') {
			EK_HIT();
			return i + 1;
		}
	}
	return 0;
}

SEC("sk_reuseport")
int choose(struct sk_reuseport_md *ctx)
{
	__u32 key;
	__u8 first;

	if (bpf_skb_load_bytes(ctx, 8, &first, 1) < 0) /* behind the UDP header */
		return SK_DROP;
	key = first - '0';
	EK_HIT();
	return bpf_sk_select_reuseport(ctx, &group, &key, 0) ? SK_DROP : SK_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
