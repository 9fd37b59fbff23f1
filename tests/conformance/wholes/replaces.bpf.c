// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A program that replaces a function of another one of the object: who loads has to name that one by its descriptor. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__attribute__((noinline)) int replaced(struct xdp_md *ctx) { volatile int result = ctx->data_end > ctx->data; return result; }

SEC("xdp") int first(struct xdp_md *ctx) { return replaced(ctx); }
SEC("freplace/first:replaced") int second(struct xdp_md *ctx) { return XDP_PASS; }

char _license[] SEC("license") = "GPL";
