// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Programs in a program array are no values that it reads. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int one(void *ctx) { return 2; }
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1); __uint(key_size, 4);
	__array(values, int (void *)); } calls SEC(".maps") = { .values = { [0] = (void *)&one } };
SEC("xdp") int two(void *ctx) { bpf_tail_call(ctx, &calls, 0); return 2; }

char _license[] SEC("license") = "GPL";
