// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A static map. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, long);
} counts SEC(".maps");
SEC("raw_tp/sys_enter") int reads(void *ctx)
{
	int key = 0;
	return bpf_map_lookup_elem(&counts, &key) != 0;
}

char LICENSE[] SEC("license") = "GPL";
