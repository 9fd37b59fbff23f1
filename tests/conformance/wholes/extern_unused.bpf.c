// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A strong symbol that the kernel lacks, which one program uses: all fail, and so does what is not as declared. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern const void no_such_symbol __ksym;

SEC("raw_tp/sys_enter") int first(void *ctx) { return 0; }
SEC("?raw_tp/sys_exit") int second(void *ctx) { return (long)&no_such_symbol & 1; }

char _license[] SEC("license") = "GPL";
