// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A map whose definition has content, which says nothing. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} counts SEC(".maps") = {.key = (__u32 *)1};

SEC("raw_tp/sys_enter") int plain(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
