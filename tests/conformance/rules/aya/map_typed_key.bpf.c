// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A map of which only the key has a type is not tried again without. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __type(key, int); __uint(value_size, 8); } table
	SEC(".maps");
SEC("xdp") int one(void *ctx) { int key = 0; return !bpf_map_lookup_elem(&table, &key); }

char _license[] SEC("license") = "GPL";
