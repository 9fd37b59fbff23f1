// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Maps as libbpf 1.x does not take them. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct bpf_map_def { unsigned type, key_size, value_size, max_entries, flags; };

struct bpf_map_def SEC("maps") counts = { BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0 };

SEC("raw_tp/sys_enter") int first(void *ctx)
{
	int key = 0;

	return bpf_map_lookup_elem(&counts, &key) != 0;
}

char _license[] SEC("license") = "GPL";
