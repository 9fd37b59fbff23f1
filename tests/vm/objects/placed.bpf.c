// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An arena that has to be mapped at an address. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, 33); /* BPF_MAP_TYPE_ARENA */
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 10);
	enum { at = 0x100000000000 } map_extra; /* __ulong of newer headers */
} arena SEC(".maps");

__attribute__((address_space(1))) long counter = 5;

SEC("syscall")
int counts(void *ctx)
{
	asm volatile("" ::"r"(&arena)); /* the verifier wants to see which arena it is */
	counter++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
