// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Nobody can set how deep stacks are. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_STACK_TRACE); __uint(max_entries, 4); __type(key, int); } stacks SEC(".maps");
SEC("kprobe/do_exit") int one(void *ctx) { return bpf_get_stackid(ctx, &stacks, 0); }

char _license[] SEC("license") = "GPL";
