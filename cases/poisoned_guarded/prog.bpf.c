// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The accesses of ../unresolved behind guards: poisoned too, and never reached, so the verifier takes the program. */
#include <everykernel.h>

#include <bpf/bpf_core_read.h>

struct task_struct {
	__s32 tgid;
	__u64 no_such_field;
} __attribute__((preserve_access_index));

struct no_such_struct {
	__u64 field;
} __attribute__((preserve_access_index));

enum pid_type {
	PIDTYPE_NO_SUCH_VALUE = 77,
};

__u64 field_value = 1, type_value = 1, enumerator_value = 1;

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct no_such_struct *other = (void *)task;

	if (!EK_MINE())
		return 0;
	field_value = bpf_core_field_exists(task->no_such_field) ? BPF_CORE_READ(task, no_such_field) : 0;
	type_value = bpf_core_type_exists(struct no_such_struct) ? BPF_CORE_READ(other, field) : 0;
	enumerator_value = bpf_core_enum_value_exists(enum pid_type, PIDTYPE_NO_SUCH_VALUE) ?
				   bpf_core_enum_value(enum pid_type, PIDTYPE_NO_SUCH_VALUE) :
				   0;
	EK_ASSERT(BPF_CORE_READ(task, tgid) == ek_pid);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
