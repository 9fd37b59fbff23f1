// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An arena with global variables of its own. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ARENA __attribute__((address_space(1)))

struct {
	__uint(type, 33); /* BPF_MAP_TYPE_ARENA */
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 10);
} arena SEC(".maps");

long ARENA counter = 5;
long ARENA zero;
long out;

SEC("syscall")
int counts(void *ctx)
{
	void *volatile it = &arena;

	counter++;
	zero += counter;
	return 0;
}

SEC("syscall")
int beside(void *ctx)
{
	out++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
