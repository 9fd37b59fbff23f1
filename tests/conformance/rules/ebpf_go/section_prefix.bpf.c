// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What follows a section's name without a slash of its own, or with one that nothing says a target may follow. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket1") int numbered(void *ctx) { return 0; }
SEC("perf_event/clock") int named(void *ctx) { return 0; }
SEC("classifier/ingress") int directed(void *ctx) { return 0; }
SEC("xdp_pass") int joined(void *ctx) { return XDP_PASS; }
SEC("kprobe_x") int unknown(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
