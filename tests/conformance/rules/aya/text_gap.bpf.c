// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Code of .text that belongs to no function loses the object. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

asm(".section .text,\"ax\",@progbits\n.quad 0x95\n");
static __attribute__((noinline)) int helped(void *ctx) { return ctx ? 2 : 1; }
SEC("xdp") int one(void *ctx) { return helped(ctx); }

char _license[] SEC("license") = "GPL";
