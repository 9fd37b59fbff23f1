/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A resizable hash map, first in Linux 7.2. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define BPF_MAP_TYPE_RHASH 35 /* newer than the oldest headers that this is compiled with */

struct {
	__uint(type, BPF_MAP_TYPE_RHASH);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u64);
} grows SEC(".maps");

SEC("socket")
int puts(void *ctx)
{
	__u32 key = 1;
	__u64 value = 2;

	return bpf_map_update_elem(&grows, &key, &value, 0);
}

char LICENSE[] SEC("license") = "GPL";
