// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A variable in a section of a name that only libbpf takes for data. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int counter SEC(".bss.mine");
SEC("raw_tp/sys_enter") int counts(void *ctx) { return counter++; }

char LICENSE[] SEC("license") = "GPL";
