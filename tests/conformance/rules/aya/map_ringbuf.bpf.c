// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A ring buffer has no values, whatever is declared, and a power of two pages. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 5000); __type(value, long); } events SEC(".maps");
SEC("xdp") int one(void *ctx) { long x = 0; bpf_ringbuf_output(&events, &x, 8, 0); return 2; }

char _license[] SEC("license") = "GPL";
