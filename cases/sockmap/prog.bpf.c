// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Drops messages that begin with a mark, and leads what a marked socket receives to another. Needs no relocation. */
#include <everykernel.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

SEC("sk_msg")
int on_message(struct sk_msg_md *ctx)
{
	__u8 *data = ctx->data, *end = ctx->data_end;

	EK_HIT();
	return data + 1 <= end && *data == '#' ? SK_DROP : SK_PASS;
}

SEC("sk_skb/stream_verdict")
int on_stream(struct __sk_buff *skb)
{
	EK_HIT();
	return bpf_sk_redirect_map(skb, &sockets, 1, 0);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
