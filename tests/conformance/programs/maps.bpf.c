// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A map of every type, some with attributes that no kernel takes, each used by one program. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct value { long number; char text[24]; };
struct guarded { struct bpf_spin_lock lock; long number; };
struct timed { struct bpf_timer timer; long number; };

/* Only names the map: the verifier checks that the program's type and the map's fit. */
#define USER(map) SEC("tc") int use_##map(void *ctx) { void *volatile it = &map; return !it; }
#define LOOKUP(map) \
	SEC("tc") int look_up_##map(void *ctx) { unsigned long key[2] = {}; return !bpf_map_lookup_elem(&map, key); }

#define PLAIN(name, kind, keys, values, entries, flags) \
	struct { \
		__uint(type, kind); \
		__uint(key_size, keys); \
		__uint(value_size, values); \
		__uint(max_entries, entries); \
		__uint(map_flags, flags); \
	} name SEC(".maps"); \
	USER(name)

PLAIN(hash, BPF_MAP_TYPE_HASH, 8, 16, 8, 0) LOOKUP(hash)
PLAIN(hash_of_nothing, BPF_MAP_TYPE_HASH, 8, 16, 0, 0)
PLAIN(hash_keyless, BPF_MAP_TYPE_HASH, 0, 16, 8, 0) LOOKUP(hash_keyless)
PLAIN(hash_lazy, BPF_MAP_TYPE_HASH, 8, 16, 8, BPF_F_NO_PREALLOC)
PLAIN(hash_flags, BPF_MAP_TYPE_HASH, 8, 16, 8, 1 << 30)
PLAIN(hash_huge, BPF_MAP_TYPE_HASH, 8, 1 << 20, 1 << 20, 0)
PLAIN(array, BPF_MAP_TYPE_ARRAY, 4, 16, 8, 0) LOOKUP(array)
PLAIN(array_of_nothing, BPF_MAP_TYPE_ARRAY, 4, 16, 0, 0)
PLAIN(array_wide_key, BPF_MAP_TYPE_ARRAY, 8, 16, 8, 0)
PLAIN(array_mapped, BPF_MAP_TYPE_ARRAY, 4, 16, 8, BPF_F_MMAPABLE)
PLAIN(array_inner, BPF_MAP_TYPE_ARRAY, 4, 16, 8, BPF_F_INNER_MAP)
PLAIN(array_read_only, BPF_MAP_TYPE_ARRAY, 4, 16, 8, BPF_F_RDONLY_PROG) LOOKUP(array_read_only)
PLAIN(array_write_only, BPF_MAP_TYPE_ARRAY, 4, 16, 8, BPF_F_WRONLY_PROG) LOOKUP(array_write_only)
PLAIN(prog_array, BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 8, 0) LOOKUP(prog_array)
PLAIN(perf_event_array, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 0, 0)
PLAIN(perf_event_array_bare, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 0, 0, 0, 0)
PLAIN(perf_event_array_two, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 1 << 10, 0)
PLAIN(percpu_hash, BPF_MAP_TYPE_PERCPU_HASH, 8, 16, 8, 0) LOOKUP(percpu_hash)
PLAIN(percpu_array, BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, 8, 0) LOOKUP(percpu_array)
PLAIN(percpu_array_wide, BPF_MAP_TYPE_PERCPU_ARRAY, 4, 1 << 16, 8, 0)
PLAIN(stack_trace, BPF_MAP_TYPE_STACK_TRACE, 4, 8 * 127, 64, 0)
PLAIN(stack_trace_odd, BPF_MAP_TYPE_STACK_TRACE, 4, 7, 64, 0)
PLAIN(cgroup_array, BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 1, 0)
PLAIN(lru_hash, BPF_MAP_TYPE_LRU_HASH, 8, 16, 64, 0) LOOKUP(lru_hash)
PLAIN(lru_hash_lazy, BPF_MAP_TYPE_LRU_HASH, 8, 16, 64, BPF_F_NO_PREALLOC)
PLAIN(lru_percpu_hash, BPF_MAP_TYPE_LRU_PERCPU_HASH, 8, 16, 64, 0)
PLAIN(lru_common, BPF_MAP_TYPE_LRU_HASH, 8, 16, 64, BPF_F_NO_COMMON_LRU)
PLAIN(lpm_trie, BPF_MAP_TYPE_LPM_TRIE, 8, 16, 8, BPF_F_NO_PREALLOC) LOOKUP(lpm_trie)
PLAIN(lpm_trie_eager, BPF_MAP_TYPE_LPM_TRIE, 8, 16, 8, 0)
PLAIN(array_of_maps_bare, BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 8, 0)
PLAIN(devmap, BPF_MAP_TYPE_DEVMAP, 4, 4, 8, 0)
PLAIN(devmap_program, BPF_MAP_TYPE_DEVMAP, 4, 8, 8, 0)
PLAIN(devmap_hash, BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, 8, 0)
PLAIN(sockmap, BPF_MAP_TYPE_SOCKMAP, 4, 4, 8, 0)
PLAIN(sockmap_cookies, BPF_MAP_TYPE_SOCKMAP, 4, 8, 8, 0)
PLAIN(sockhash, BPF_MAP_TYPE_SOCKHASH, 8, 4, 8, 0)
PLAIN(cpumap, BPF_MAP_TYPE_CPUMAP, 4, 4, 2, 0)
PLAIN(cpumap_program, BPF_MAP_TYPE_CPUMAP, 4, 8, 2, 0)
PLAIN(cpumap_huge, BPF_MAP_TYPE_CPUMAP, 4, 4, 1 << 20, 0)
PLAIN(xskmap, BPF_MAP_TYPE_XSKMAP, 4, 4, 8, 0)
PLAIN(cgroup_storage, BPF_MAP_TYPE_CGROUP_STORAGE, 16, 16, 0, 0)
PLAIN(cgroup_storage_short, BPF_MAP_TYPE_CGROUP_STORAGE, 8, 16, 0, 0)
PLAIN(percpu_cgroup_storage, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 16, 16, 0, 0)
PLAIN(reuseport_sockarray, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 4, 8, 8, 0)
PLAIN(queue, BPF_MAP_TYPE_QUEUE, 0, 8, 8, 0)
PLAIN(queue_keyed, BPF_MAP_TYPE_QUEUE, 4, 8, 8, 0)
PLAIN(stack, BPF_MAP_TYPE_STACK, 0, 8, 8, 0)
PLAIN(sk_storage_bare, BPF_MAP_TYPE_SK_STORAGE, 4, 8, 0, BPF_F_NO_PREALLOC)
PLAIN(ringbuf, BPF_MAP_TYPE_RINGBUF, 0, 0, 1 << 12, 0)
PLAIN(ringbuf_odd, BPF_MAP_TYPE_RINGBUF, 0, 0, 5000, 0)
PLAIN(ringbuf_of_nothing, BPF_MAP_TYPE_RINGBUF, 0, 0, 0, 0)
PLAIN(ringbuf_keyed, BPF_MAP_TYPE_RINGBUF, 4, 4, 1 << 12, 0)
PLAIN(user_ringbuf, BPF_MAP_TYPE_USER_RINGBUF, 0, 0, 1 << 12, 0)
PLAIN(bloom_filter, BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 100, 0)
PLAIN(arena_bare, 33, 0, 0, 4, BPF_F_MMAPABLE)
PLAIN(insn_array, 34, 4, 16, 4, 0)
PLAIN(unspec, 99, 4, 4, 4, 0)

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__type(value, int);
	__uint(max_entries, 100);
	__uint(map_extra, 3);
} bloom_filter_three SEC(".maps");
USER(bloom_filter_three)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, int);
	__type(value, struct value);
	__uint(max_entries, 4);
	__uint(map_extra, 3);
} hash_extra SEC(".maps");
USER(hash_extra)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, int);
	__type(value, struct value);
	__uint(max_entries, 4);
	__uint(numa_node, 7);
	__uint(map_flags, BPF_F_NUMA_NODE);
} hash_far SEC(".maps");
USER(hash_far)

#define TYPED(name, kind, keys, values, entries, flags) \
	struct { \
		__uint(type, kind); \
		__type(key, keys); \
		__type(value, values); \
		__uint(max_entries, entries); \
		__uint(map_flags, flags); \
	} name SEC(".maps"); \
	USER(name)

TYPED(hash_typed, BPF_MAP_TYPE_HASH, int, struct value, 8, 0)
TYPED(hash_locked, BPF_MAP_TYPE_HASH, int, struct guarded, 8, 0) LOOKUP(hash_locked)
TYPED(array_locked, BPF_MAP_TYPE_ARRAY, int, struct guarded, 8, 0) LOOKUP(array_locked)
TYPED(percpu_locked, BPF_MAP_TYPE_PERCPU_ARRAY, int, struct guarded, 8, 0)
TYPED(array_timed, BPF_MAP_TYPE_ARRAY, int, struct timed, 8, 0) LOOKUP(array_timed)
TYPED(lru_timed, BPF_MAP_TYPE_LRU_HASH, int, struct timed, 8, 0)
TYPED(sk_storage, BPF_MAP_TYPE_SK_STORAGE, int, struct value, 0, BPF_F_NO_PREALLOC)
TYPED(sk_storage_eager, BPF_MAP_TYPE_SK_STORAGE, int, struct value, 0, 0)
TYPED(inode_storage, BPF_MAP_TYPE_INODE_STORAGE, int, struct value, 0, BPF_F_NO_PREALLOC)
TYPED(task_storage, BPF_MAP_TYPE_TASK_STORAGE, int, struct value, 0, BPF_F_NO_PREALLOC)
TYPED(cgrp_storage, 32, int, struct value, 0, BPF_F_NO_PREALLOC)
TYPED(cgroup_storage_typed, BPF_MAP_TYPE_CGROUP_STORAGE, struct bpf_cgroup_storage_key, struct value, 0, 0)
TYPED(cgroup_storage_id, BPF_MAP_TYPE_CGROUP_STORAGE, __u64, struct value, 0, 0)
TYPED(lpm_typed, BPF_MAP_TYPE_LPM_TRIE, struct bpf_lpm_trie_key, struct value, 8, BPF_F_NO_PREALLOC)

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, int);
	__type(value, struct value);
	__uint(max_entries, 4);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, int);
	__array(values, struct inner);
} array_of_maps SEC(".maps") = { .values = { [0] = &first, [2] = &second } };
USER(array_of_maps) LOOKUP(array_of_maps)

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, long);
	__array(values, struct inner);
} hash_of_maps SEC(".maps");
USER(hash_of_maps) LOOKUP(hash_of_maps)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, int);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_RINGBUF);
		__uint(max_entries, 0);
	});
} array_of_ringbufs SEC(".maps");
USER(array_of_ringbufs)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, int);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_HASH);
		__type(key, int);
		__type(value, struct guarded);
		__uint(max_entries, 4);
	});
} array_of_locked SEC(".maps");
USER(array_of_locked) LOOKUP(array_of_locked)

const volatile int setting = 3;
int counter = 7;
long zero;
static volatile int hidden = 2;
int custom SEC(".data.custom") = 4;
const int fixed SEC(".rodata.custom") = 5;
int resized SEC(".bss.custom");

SEC("tc")
int variables(void *ctx)
{
	counter += setting + hidden + custom + fixed;
	zero++;
	resized++;
	return counter;
}

SEC("tc")
int writes_constant(void *ctx)
{
	*(volatile int *)&setting = 1;
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
