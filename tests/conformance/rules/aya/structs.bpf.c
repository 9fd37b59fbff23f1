// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An operations struct that no kernel has, beside a program: it is not looked at. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct no_such_operations {
	int number;
};

SEC(".struct_ops.link") struct no_such_operations operations = {.number = 1};

SEC("raw_tp/sys_enter") int one(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
