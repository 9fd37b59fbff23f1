// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Programs whose sections name no target. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("fentry") int nowhere(void *ctx) { return 0; }
SEC("freplace") int nothing(void *ctx) { return 0; }
SEC("raw_tp/sys_enter") int plain(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
