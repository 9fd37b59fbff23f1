// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A static map that nothing refers to: another loader opens no object that has one. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} idle SEC(".maps") __attribute__((used));

SEC("raw_tp/sys_enter") int plain(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
