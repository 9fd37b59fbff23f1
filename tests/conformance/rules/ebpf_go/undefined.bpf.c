// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A function that nothing defines, and a program that does not call it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int nowhere(int value);

SEC("raw_tp/sys_enter") int calls(void *ctx) { return nowhere(1); }
SEC("raw_tp/sys_exit") int plain(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
