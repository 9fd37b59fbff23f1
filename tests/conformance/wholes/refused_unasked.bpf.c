// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The only program that the verifier refuses is not loaded. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("raw_tp/sys_enter") int first(void *ctx) { return 0; }
SEC("?raw_tp/sys_exit") int second(void **ctx) { return *(int *)ctx[0]; }

char _license[] SEC("license") = "GPL";
