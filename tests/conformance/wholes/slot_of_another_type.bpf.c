// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A program array holds a program of another type than the one that calls it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int second(void *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, 4);
	__uint(max_entries, 2);
	__array(values, int(void *));
} calls SEC(".maps") = { .values = { [1] = (void *)&second } };

SEC("socket") int first(void *ctx)
{
	bpf_tail_call(ctx, &calls, 1);
	return 0;
}

SEC("raw_tp/sys_enter") int second(void *ctx) { return 0; }

char _license[] SEC("license") = "GPL";
