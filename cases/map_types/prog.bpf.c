// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Each map is read where the check filled it, or filled for the check to read. Needs no relocation. */
#include <everykernel.h>

#define MAP(name, kind, entries, key_type, value_type, how)                                                            \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_##kind);                                                                     \
		__uint(max_entries, entries);                                                                          \
		__uint(map_flags, how);                                                                                \
		__type(key, key_type);                                                                                 \
		__type(value, value_type);                                                                             \
	} name SEC(".maps")

struct prefix {
	__u32 length;
	__u8 address[4];
};

MAP(hash, HASH, 8, __u32, __u64, 0);
MAP(hash_of_processors, PERCPU_HASH, 8, __u32, __u64, 0);
MAP(recent, LRU_HASH, 8, __u32, __u64, 0);
MAP(recent_of_processors, LRU_PERCPU_HASH, 8, __u32, __u64, 0);
MAP(array, ARRAY, 8, __u32, __u64, 0);
MAP(array_of_processors, PERCPU_ARRAY, 8, __u32, __u64, 0);
MAP(prefixes, LPM_TRIE, 8, struct prefix, __u32, 1 /* BPF_F_NO_PREALLOC */);
MAP(devices, DEVMAP, 4, __u32, __u32, 0);
MAP(hashed_devices, DEVMAP_HASH, 4, __u32, __u32, 0);

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, __u64);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 4);
	__type(value, __u64);
} stack SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} array_of_maps SEC(".maps") = { .values = { &first, &second } };

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} hash_of_maps SEC(".maps") = { .values = { [1] = &second } };

int called(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, int(struct xdp_md *));
} programs SEC(".maps") = { .values = { [1] = &called } };

__u8 address[4]; /* set by the check */
__u32 longest;
__u64 popped[4], inner_values[2];
__s32 redirects[4];

/* Adds to an entry that may be there or not; returns an error or 0. Errors are collected: few paths to verify. */
static __always_inline long add(void *map, __u32 key, __u64 amount)
{
	__u64 *value = bpf_map_lookup_elem(map, &key);

	if (!value)
		return bpf_map_update_elem(map, &key, &amount, BPF_ANY);
	*value += amount;
	return 0;
}

static __always_inline long push(__u64 value)
{
	return bpf_map_push_elem(&queue, &value, 0) | bpf_map_push_elem(&stack, &value, 0);
}

SEC("xdp")
int called(struct xdp_md *ctx)
{
	EK_HIT();
	return 29;
}

SEC("xdp")
int use(struct xdp_md *ctx)
{
	struct prefix prefix = { .length = 32 };
	__u32 key, *name;
	void *inner;
	long error;

	error = add(&hash, 7, 40);
	error |= add(&hash_of_processors, 7, 40);
	error |= add(&recent, 7, 40);
	error |= add(&recent_of_processors, 7, 40);
	error |= add(&array, 7, 40);
	error |= add(&array_of_processors, 7, 40);
	EK_ASSERT(!error);

	__builtin_memcpy(prefix.address, address, 4);
	name = bpf_map_lookup_elem(&prefixes, &prefix);
	longest = name ? *name : 0;

	error = push(1) | push(2) | push(3) | push(4);
	EK_ASSERT(!error);
	EK_ASSERT(push(5)); /* they are full */
	error = bpf_map_pop_elem(&queue, &popped[0]) | bpf_map_pop_elem(&queue, &popped[1]);
	error |= bpf_map_pop_elem(&stack, &popped[2]) | bpf_map_pop_elem(&stack, &popped[3]);
	EK_ASSERT(!error);

	key = 0;
	inner = bpf_map_lookup_elem(&array_of_maps, &key);
	if (inner && (inner = bpf_map_lookup_elem(inner, &key)))
		inner_values[0] = *(__u64 *)inner;
	key = 1;
	inner = bpf_map_lookup_elem(&hash_of_maps, &key);
	key = 0;
	if (inner && (inner = bpf_map_lookup_elem(inner, &key)))
		inner_values[1] = *(__u64 *)inner;

	redirects[0] = bpf_redirect_map(&devices, 0, 0);
	redirects[1] = bpf_redirect_map(&devices, 1, 0);
	redirects[2] = bpf_redirect_map(&hashed_devices, 5, 0);
	redirects[3] = bpf_redirect_map(&hashed_devices, 6, 0);

	bpf_tail_call(ctx, &programs, 1);
	return 1; /* no tail call */
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
