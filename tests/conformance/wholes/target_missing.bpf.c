// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A function that the kernel's BTF does not have. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("raw_tp/sys_enter") int first(void *ctx) { return 0; }
SEC("fentry/no_such_function") int second(void *ctx) { return 0; }

char _license[] SEC("license") = "GPL";
