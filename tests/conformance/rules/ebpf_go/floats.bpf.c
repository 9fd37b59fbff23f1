// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A map whose value has a float, and no program that uses it: a kernel before v5.13 has no such types. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct measured {
	double value;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct measured);
	__uint(max_entries, 1);
} measures SEC(".maps");

SEC("raw_tp/sys_enter") int measures_nothing(void *ctx)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&measures, &zero) != 0;
}

char LICENSE[] SEC("license") = "GPL";
