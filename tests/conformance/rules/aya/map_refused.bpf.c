// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* One map that the kernel refuses loses the object, used or not. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __uint(value_size, 4); } keyless SEC(".maps");
SEC("socket") int one(void *ctx) { long key = 0; return !bpf_map_lookup_elem(&keyless, &key); }
SEC("xdp") int two(void *ctx) { return 2; }

char _license[] SEC("license") = "GPL";
