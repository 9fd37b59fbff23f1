// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Linux commit 2f064a59a11f ("sched: Change task_struct::state") (in v5.14) renamed task_struct.state to __state and made
 * it an unsigned int: two flavours of the struct in one object, and the kernel's own BTF decides.
 */
#include <everykernel.h>
#include <core_read.h>

struct list_head {
	struct list_head *next;
} __attribute__((preserve_access_index));

struct task_struct {
	unsigned int __state;
	__s32 pid;
	struct list_head children;
	struct list_head sibling;
} __attribute__((preserve_access_index));

struct task_struct___before_5_14 {
	volatile long state;
} __attribute__((preserve_access_index));

__s32 child_pid; /* set by the check */
__u64 child_state;
__u32 state_size; /* in this kernel, bytes */
__u32 renamed;

static __always_inline __u64 state_of(struct task_struct *task)
{
	struct task_struct___before_5_14 *old = (void *)task;

	renamed = bpf_core_field_exists(task->__state);
	if (bpf_core_field_exists(task->__state)) {
		state_size = bpf_core_field_size(task->__state);
		return EK_READ(task, __state);
	}
	state_size = bpf_core_field_size(old->state);
	return EK_READ(old, state);
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task(), *child;
	struct list_head *node;
	int i;

	if (!EK_MINE())
		return 0;
	node = EK_READ(task, children.next);
	for (i = 0; i < 16; i++) {
		/* container_of() with the offset of this kernel */
		child = (void *)node - bpf_core_field_offset(struct task_struct, sibling);
		if (EK_READ(child, pid) == child_pid) {
			child_state = state_of(child);
			EK_HIT();
			break;
		}
		node = EK_READ(node, next);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
