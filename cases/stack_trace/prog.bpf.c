// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The stacks of a process that enters a function of the kernel, its own and the kernel's. Needs no relocation. */
#include <everykernel.h>

/* The loader gives it values for the deepest stack that the kernel takes. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 1024); /* where two stacks meet in a slot, the second is not kept */
	__uint(key_size, sizeof(__u32));
} stacks SEC(".maps");

__s64 kernel_stack, user_stack;

SEC("kprobe/vfs_read")
int on_read(void *ctx)
{
	if (!EK_MINE() || ek_hits)
		return 0;
	EK_HIT();
	kernel_stack = bpf_get_stackid(ctx, &stacks, 0);
	user_stack = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
