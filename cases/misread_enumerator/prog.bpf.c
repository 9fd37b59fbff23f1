// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * SKB_DROP_REASON_NO_SOCKET was 2 in 6.1 and is 3 since 6.2. A number that was compiled in stays what it was; one that the
 * kernel is asked for is right on both.
 */
#include <everykernel.h>
#include <core_read.h>

enum skb_drop_reason {
	SKB_DROP_REASON_NO_SOCKET = 3,
};

struct trace_event_raw_kfree_skb {
	enum skb_drop_reason reason;
} __attribute__((preserve_access_index));

__u64 plain_count, asked_count;

SEC("tracepoint/skb/kfree_skb")
int plain(struct trace_event_raw_kfree_skb *ctx)
{
	if (EK_MINE() && ctx->reason == SKB_DROP_REASON_NO_SOCKET)
		plain_count++;
	return 0;
}

SEC("tracepoint/skb/kfree_skb")
int asked(struct trace_event_raw_kfree_skb *ctx)
{
	if (EK_MINE() && ctx->reason == bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NO_SOCKET))
		asked_count++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
