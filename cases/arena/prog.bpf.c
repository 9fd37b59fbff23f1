// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Builds a list in memory that a process has too, and walks one that the process built. Needs no relocation. */
#include <everykernel.h>

#define BPF_MAP_TYPE_ARENA 33 /* newer than the oldest headers that this is compiled with */
#define __arena		   __attribute__((address_space(1)))

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 16); /* pages */
} arena SEC(".maps");

void __arena *bpf_arena_alloc_pages(void *map, void __arena *address, __u32 count, int node, __u64 flags) __ksym;

struct node {
	struct node __arena *next;
	__u64 number;
};

struct node __arena *__arena ours;   /* set here */
struct node __arena *__arena theirs; /* set by the check */
__u64 __arena total = 1000;	     /* of the check's list */
__u32 asked;			     /* set by the check */

SEC("syscall")
int build(void *ctx)
{
	struct node __arena *page;
	__u32 i;

	page = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	if (!page)
		return 1;
	for (i = 0; i < 8 && i < asked; i++) {
		page[i].number = (i + 1) * 11;
		page[i].next = ours;
		ours = &page[i];
	}
	return 0;
}

SEC("syscall")
int walk(void *ctx)
{
	struct node __arena *node = theirs;
	int i;

	for (i = 0; i < 100 && node; i++) {
		total += node->number;
		node = node->next;
	}
	return i;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
