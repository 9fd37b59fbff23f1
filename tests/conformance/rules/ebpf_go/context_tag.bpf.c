// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A global function whose argument is tagged as the context, for kernels that do not know the tag. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>


struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(key_size, 4);
	__uint(value_size, 8 * 16);
	__uint(max_entries, 4);
} stacks SEC(".maps");

__attribute__((noinline)) int stack(void *ctx __attribute__((btf_decl_tag("arg:ctx"))))
{
	return bpf_get_stackid(ctx, &stacks, 0) != 0;
}

SEC("perf_event") int tagged(void *ctx) { return stack(ctx); }

char LICENSE[] SEC("license") = "GPL";
