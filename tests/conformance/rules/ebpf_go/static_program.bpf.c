// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A static function in a program's section. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket") static int hidden(void *ctx) { return 0; }
SEC("socket") int seen(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
