// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An arena, and a program that takes memory of it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, 33); /* BPF_MAP_TYPE_ARENA */
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
} room SEC(".maps");

void *bpf_arena_alloc_pages(void *map, void *addr, __u32 pages, int node, __u64 flags) __ksym;

SEC("syscall") int takes(void *ctx)
{
	return bpf_arena_alloc_pages(&room, (void *)0, 1, -1, 0) != 0;
}

char LICENSE[] SEC("license") = "GPL";
