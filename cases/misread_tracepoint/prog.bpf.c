// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * sched_process_fork has both names in its context up to 6.15, and since 6.16 words that say where they are: child_pid moved
 * from byte 44 to 20. A struct that an author wrote is not relocated. Needs no relocation.
 */
#include <everykernel.h>

struct old {
	__u64 common;
	char parent_comm[16];
	__s32 parent_pid;
	char child_comm[16];
	__s32 child_pid;
};

struct new {
	__u64 common;
	__u32 parent_comm;
	__s32 parent_pid;
	__u32 child_comm;
	__s32 child_pid;
};

__s32 old_child, new_child;
__u32 old_name;

SEC("tracepoint/sched/sched_process_fork")
int old_layout(struct old *ctx)
{
	if (EK_MINE())
		old_child = ctx->child_pid;
	return 0;
}

SEC("tracepoint/sched/sched_process_fork")
int new_layout(struct new *ctx)
{
	if (EK_MINE())
		new_child = ctx->child_pid;
	return 0;
}

SEC("tracepoint/sched/sched_process_fork")
int name(struct old *ctx)
{
	if (EK_MINE())
		old_name = *(__u32 *)ctx->parent_comm;
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
