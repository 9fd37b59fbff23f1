// SPDX-License-Identifier: GPL-2.0
/* What a tool decides that no section and no declaration says: types, attach points, inner maps, maps of others. */
#include <everykernel.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} outer SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, 1);
} other SEC(".maps");

/* Reads what a map in `outer` holds. */
SEC("socket")
int looks(void *ctx)
{
	__u32 zero = 0;
	void *inner = bpf_map_lookup_elem(&outer, &zero);
	__u64 *value = inner ? bpf_map_lookup_elem(inner, &zero) : 0;

	return value ? *value : 77;
}

/* Counts in `other`, an array if the tool says so. */
SEC("socket")
int adds(void *ctx)
{
	__u32 zero = 0;
	__u64 *value = bpf_map_lookup_elem(&other, &zero);

	return value ? ++*value : 77;
}

/* bpf_skb_store_bytes() is for classifiers, not for socket filters. */
SEC("socket")
int writes(struct __sk_buff *skb)
{
	char byte = 5;

	return bpf_skb_store_bytes(skb, 0, &byte, 1, 0) ? 78 : 9;
}

SEC("my own name")
int unnamed(void *ctx)
{
	return 6;
}

/* user_ip6 is for IPv6 hooks. */
SEC("cgroup/connect4")
int six(struct bpf_sock_addr *ctx)
{
	return ctx->user_ip6[0] != 1;
}

SEC("kprobe")
int entered(void *ctx)
{
	__u32 zero = 0;
	__u64 *value = bpf_map_lookup_elem(&counts, &zero);

	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}
