// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A program that need not load. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("?raw_tp/sys_enter") int refused(void *ctx) { return *(int *)8; }
SEC("raw_tp/sys_enter") int plain(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
