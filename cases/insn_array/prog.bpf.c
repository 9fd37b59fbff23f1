// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A map of instructions. Compilers before clang 22 make no use of one, so no program refers to it. Needs no relocation. */
#include <everykernel.h>

#define BPF_MAP_TYPE_INSN_ARRAY 34 /* newer than the oldest headers that this is compiled with */

struct instruction { /* struct bpf_insn_array_value */
	__u32 original, translated, compiled, unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_INSN_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct instruction);
} targets SEC(".maps");

SEC("xdp")
int beside(struct xdp_md *ctx)
{
	return 2;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
