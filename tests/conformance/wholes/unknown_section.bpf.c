// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A section that stands for no program type. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("raw_tp/sys_enter") int first(void *ctx) { return 0; }
SEC("nothing/like/it") int second(void *ctx) { return 0; }

char _license[] SEC("license") = "GPL";
