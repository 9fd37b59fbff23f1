// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A ring buffer with keys is the kernel's to refuse. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); __type(key, int); } events SEC(".maps");
SEC("xdp") int one(void *ctx) { long x = 0; bpf_ringbuf_output(&events, &x, 8, 0); return 2; }

char _license[] SEC("license") = "GPL";
