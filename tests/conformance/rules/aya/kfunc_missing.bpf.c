// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A function of the kernel that is not there loses the object. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

extern void no_such_function(void) __ksym;
SEC("socket") int one(void *ctx) { no_such_function(); return 0; }
SEC("xdp") int two(void *ctx) { return 2; }

char _license[] SEC("license") = "GPL";
