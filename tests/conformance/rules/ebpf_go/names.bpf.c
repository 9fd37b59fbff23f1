// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Two functions of one name: a program, and a static one in another section. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("raw_tp/sys_enter") int twin(void *ctx) { return 0; }
static __attribute__((used, noinline)) int other(void *ctx) __asm__("twin.1");
static int other(void *ctx) { return 1; }

char LICENSE[] SEC("license") = "GPL";
