// SPDX-License-Identifier: GPL-2.0
/* The other of two objects that share a map: it reads. */
#include <everykernel.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} shared SEC(".maps");

int calls;

SEC("socket")
int reads(void *ctx)
{
	__u32 zero = 0;
	__u64 *value = bpf_map_lookup_elem(&shared, &zero);

	calls += 10;
	return value ? *value : 0;
}
