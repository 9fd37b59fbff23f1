// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Static maps are maps. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

static struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __type(key, int); __type(value, long); } table
	SEC(".maps");
SEC("xdp") int one(void *ctx) { int key = 0; return !bpf_map_lookup_elem(&table, &key); }

char _license[] SEC("license") = "GPL";
