// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A map that is pinned by its name. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} kept SEC(".maps");

SEC("socket")
int count(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u64 *value = bpf_map_lookup_elem(&kept, &zero);

	return value ? ++*value : 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
