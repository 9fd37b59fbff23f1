// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A static function of a section of programs is a program too. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

static __attribute__((noinline)) SEC("xdp") int helped(void *ctx) { return 2; }
SEC("xdp") int one(void *ctx) { return helped(ctx); }

char _license[] SEC("license") = "GPL";
