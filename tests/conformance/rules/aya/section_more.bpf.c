// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What follows an element that takes nothing means nothing. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

SEC("socket/filter") int one(void *ctx) { return 0; }
SEC("classifier/ingress") int two(void *ctx) { return 0; }
SEC("perf_event/cpu") int three(void *ctx) { return 0; }
SEC("cgroup/connect4/first") int four(void *ctx) { return 1; }

char _license[] SEC("license") = "GPL";
