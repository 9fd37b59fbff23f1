// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Prints the elements of whatever hash it is attached to, as text, and counts up what it prints. No relocation. */
#include <everykernel.h>

#include <bpf/bpf_tracing.h>

struct seq_file;

/* Contexts of iterators are laid out for BPF: the kernel checks accesses by place, not by name. */
struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id, seq_num;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	void *map;
	void *key, *value;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} squares SEC(".maps"), cubes SEC(".maps");

SEC("iter/bpf_map_elem")
int print(struct bpf_iter__bpf_map_elem *ctx)
{
	__u32 *key = ctx->key;
	__u64 *value = ctx->value;

	if (key && value) {
		BPF_SEQ_PRINTF(ctx->meta->seq, "%u %llu\n", *key, *value);
		*value += 1;
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
