// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Two programs of different types share a program array: the second one that is loaded is refused. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(key_size, 4); __uint(value_size, 4); __uint(max_entries, 1); } calls SEC(".maps");

SEC("socket") int first(void *ctx)
{
	bpf_tail_call(ctx, &calls, 0);
	return 0;
}

SEC("raw_tp/sys_enter") int second(void *ctx)
{
	bpf_tail_call(ctx, &calls, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
