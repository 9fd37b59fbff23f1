// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A number of 64 bits is none that it reads. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_BLOOM_FILTER); __uint(max_entries, 4); __type(value, long);
	enum { three = 3 } map_extra; } seen SEC(".maps");
SEC("xdp") int one(void *ctx) { long x = 0; return bpf_map_peek_elem(&seen, &x) ? 2 : 1; }

char _license[] SEC("license") = "GPL";
