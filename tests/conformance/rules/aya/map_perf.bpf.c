// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The sizes of a perf event array are as declared. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __type(key, int); __type(value, long); } events SEC(".maps");
SEC("xdp") int one(void *ctx) { long x = 0; bpf_perf_event_output(ctx, &events, 0xffffffffULL, &x, 8); return 2; }

char _license[] SEC("license") = "GPL";
