// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A section that libbpf 1.8 knows, for kernels since 7.1: to 1.7 it stands for no program type. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("raw_tp/sys_enter") int plain(void *ctx) { return 0; }
SEC("raw_tp.s/sys_exit") int sleeping(void *ctx) { return 0; }

char _license[] SEC("license") = "GPL";
