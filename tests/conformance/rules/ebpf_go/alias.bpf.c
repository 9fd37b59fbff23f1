// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Two names of one function. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("raw_tp/sys_enter") int first(void *ctx) { return 0; }
int second(void *ctx) __attribute__((alias("first")));

char LICENSE[] SEC("license") = "GPL";
