// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A target that says where it is: the whole is looked for as a function's name. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("fentry/vmlinux:schedule") int one(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
