// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The values of a devmap have 8 bytes, whatever is declared. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_DEVMAP); __uint(max_entries, 4); __type(key, int); __type(value, char); } ports
	SEC(".maps");
SEC("xdp") int one(void *ctx) { return bpf_redirect_map(&ports, 0, 0); }

char _license[] SEC("license") = "GPL";
