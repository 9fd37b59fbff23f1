// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Three programs that reach what no kernel has, each refused by itself; the fourth, beside them, works. */
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

__u64 result;

SEC("tracepoint/syscalls/sys_enter_getpgid")
int missing_field(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	result = BPF_CORE_READ(task, no_such_field);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int missing_type(void *ctx)
{
	struct no_such_struct *task = (void *)bpf_get_current_task();

	result = BPF_CORE_READ(task, field);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int missing_enumerator(void *ctx)
{
	result = bpf_core_enum_value(enum pid_type, PIDTYPE_NO_SUCH_VALUE);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int sound(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (!EK_MINE())
		return 0;
	EK_ASSERT(BPF_CORE_READ(task, tgid) == ek_pid);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
