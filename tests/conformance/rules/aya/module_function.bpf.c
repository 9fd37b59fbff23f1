// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Functions of modules are not looked for. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

SEC("fentry/nf_conntrack_in") int one(void *ctx) { return 0; }
SEC("xdp") int two(void *ctx) { return 2; }

char _license[] SEC("license") = "GPL";
