// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A function that the BTF of some kernels (6.1) has twice: which one is meant cannot be told. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("fentry/arch_prctl_spec_ctrl_get") int one(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
