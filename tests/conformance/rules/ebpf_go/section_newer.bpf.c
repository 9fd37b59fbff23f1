// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Sections that libbpf knows since 1.8. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("raw_tp.s/sys_exit") int sleeping(void *ctx) { return 0; }
SEC("raw_tp/sys_enter") int plain(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
