// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A set that may be wrong about what it holds, and never about what it does not. Needs no relocation. */
#include <everykernel.h>

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 100);
	__uint(map_extra, 3);
	__type(value, __u32);
} bloom SEC(".maps");

__u32 held, missed;

SEC("xdp")
int use(struct xdp_md *ctx)
{
	int i;

	for (i = 0; i < 100; i += 2) {
		__u32 value = i;

		if (bpf_map_push_elem(&bloom, &value, 0))
			return 1;
	}
	for (i = 0; i < 100; i++) {
		__u32 value = i;

		if (bpf_map_peek_elem(&bloom, &value) == 0)
			held++;
		else if (!(i & 1))
			missed++;
	}
	return 2;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
