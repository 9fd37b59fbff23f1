// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Legacy maps are maps. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct { unsigned int type, key_size, value_size, max_entries, flags, id, pinning; } table SEC("maps") = {
	.type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 4 };
SEC("xdp") int one(void *ctx) { int key = 0; return !bpf_map_lookup_elem(&table, &key); }

char _license[] SEC("license") = "GPL";
