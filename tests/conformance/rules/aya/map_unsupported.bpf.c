// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* There is nothing for a map of this type. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct { __uint(type, BPF_MAP_TYPE_TASK_STORAGE); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, int);
	__type(value, long); } storage SEC(".maps");
SEC("xdp") int one(void *ctx) { return 2; }
SEC("socket") int two(void *ctx) { void *volatile it = &storage; return !it; }

char _license[] SEC("license") = "GPL";
