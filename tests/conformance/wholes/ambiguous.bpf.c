// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A record that two types answer otherwise: the whole fails before any map is made. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct irq_info { unsigned irq; } __attribute__((preserve_access_index));

struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(key_size, 8); __uint(value_size, 4); __uint(max_entries, 1); } bad SEC(".maps");

SEC("raw_tp/sys_enter") int first(void *ctx) { return bpf_map_lookup_elem(&bad, ctx) != 0; }

SEC("raw_tp/sys_exit") int second(void *ctx)
{
	return BPF_CORE_READ((struct irq_info *)bpf_get_current_task(), irq);
}

char _license[] SEC("license") = "GPL";
