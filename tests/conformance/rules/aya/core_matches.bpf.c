// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* It knows no records that ask whether a type matches. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct task_struct { int pid; } __attribute__((preserve_access_index));
SEC("socket") int one(void *ctx) { return bpf_core_type_matches(struct task_struct); }

char _license[] SEC("license") = "GPL";
