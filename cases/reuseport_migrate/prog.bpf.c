// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* New connections go to the first listener, those that lose theirs to the second. */
#include <everykernel.h>

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

__u64 made, moved;

SEC("sk_reuseport/migrate")
int choose(struct sk_reuseport_md *ctx)
{
	__u32 number = ctx->migrating_sk ? 1 : 0;

	__sync_fetch_and_add(number ? &moved : &made, 1);
	return bpf_sk_select_reuseport(ctx, &listeners, &number, 0) ? SK_DROP : SK_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
