// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A section that waits for a target: whoever loads it as it is, fails. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("raw_tp/sys_enter") int first(void *ctx) { return 0; }
SEC("fentry") int second(void *ctx) { return 0; }

char _license[] SEC("license") = "GPL";
