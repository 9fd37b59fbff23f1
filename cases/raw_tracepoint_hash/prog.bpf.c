// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts system calls by number in a hash, and those that find no process. The arguments of a raw tracepoint are 64 bits everywhere. No relocation. */
#include <everykernel.h>

#define ESRCH 3

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, __u32);
	__type(value, __u64);
} calls SEC(".maps");

/* TP_PROTO(struct pt_regs *regs, long id) */
SEC("raw_tp/sys_enter")
int on_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 number = ctx->args[1];
	__u64 *count, one = 1;

	if (!EK_MINE())
		return 0;
	count = bpf_map_lookup_elem(&calls, &number);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		EK_ASSERT(bpf_map_update_elem(&calls, &number, &one, BPF_ANY) == 0);
	return 0;
}

int failed;

/* TP_PROTO(struct pt_regs *regs, long ret) */
SEC("raw_tracepoint/sys_exit")
int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
	if (EK_MINE() && (int)ctx->args[1] == -ESRCH)
		__sync_fetch_and_add(&failed, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
