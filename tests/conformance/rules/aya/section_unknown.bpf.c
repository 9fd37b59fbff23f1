// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A section that aya does not know loses the whole object. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int one(void *ctx) { return 2; }
SEC("tc") int two(void *ctx) { return 0; }

char _license[] SEC("license") = "GPL";
