// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A signed field of another size, loaded directly, loses the object. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct task_struct { long pid; } __attribute__((preserve_access_index));
SEC("tp_btf/task_newtask") int one(unsigned long long *ctx) { return ((struct task_struct *)ctx[0])->pid == 1; }
SEC("xdp") int two(void *ctx) { return 2; }

char _license[] SEC("license") = "GPL";
