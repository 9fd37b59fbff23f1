// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Messages begin with a byte that tells their length, and leave by another socket; elsewhere, marked ones are dropped. */
#include <everykernel.h>

#define SOCKETS(name)                                                                                                  \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_SOCKMAP);                                                                    \
		__uint(max_entries, 1);                                                                                \
		__type(key, __u32);                                                                                    \
		__type(value, __u64);                                                                                  \
	} name SEC(".maps")

SOCKETS(parsed);
SOCKETS(out);
SOCKETS(received);
SOCKETS(streamed);

#define MAX_LENGTHS 4

__u32 messages, lengths[MAX_LENGTHS];

SEC("sk_skb/stream_parser")
int parse(struct __sk_buff *skb)
{
	__u8 length = 0;

	bpf_skb_load_bytes(skb, 0, &length, 1);
	return length;
}

SEC("sk_skb/stream_verdict")
int on_message(struct __sk_buff *skb)
{
	__u32 number = messages++;

	if (number < MAX_LENGTHS)
		lengths[number] = skb->len;
	return bpf_sk_redirect_map(skb, &out, 0, 0);
}

static __always_inline int judge(struct __sk_buff *skb)
{
	__u8 first = 0;

	EK_HIT();
	bpf_skb_load_bytes(skb, 0, &first, 1);
	return first == '#' ? SK_DROP : SK_PASS;
}

SEC("sk_skb/verdict")
int on_receive(struct __sk_buff *skb)
{
	return judge(skb);
}

SEC("sk_skb")
int on_stream(struct __sk_buff *skb)
{
	return judge(skb);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
