// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An element that takes one of three things takes no fourth. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

SEC("xdp/first") int one(void *ctx) { return 2; }

char _license[] SEC("license") = "GPL";
