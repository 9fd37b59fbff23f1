// SPDX-License-Identifier: GPL-2.0
/* One of two objects that share a map: it writes. */
#include <everykernel.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} shared SEC(".maps");

int calls;
const volatile int step = 1;

SEC("socket")
int writes(void *ctx)
{
	__u32 zero = 0;
	__u64 *value = bpf_map_lookup_elem(&shared, &zero);

	calls++;
	return value ? *value += step : 0;
}
