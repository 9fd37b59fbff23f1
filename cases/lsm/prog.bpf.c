// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Two ways to forbid a nice value each: by a security hook, and by what the function around all hooks returns. */
#include <everykernel.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define EXDEV   18
#define ENOTNAM 118

struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

int hook_nice, changed_nice; /* set by the check */
int asked_pid;

static __always_inline int forbid(struct task_struct *task, int nice, int forbidden, int error, int result)
{
	if (!EK_MINE() || result)
		return result;
	if (nice != forbidden)
		return 0;
	asked_pid = task->pid;
	EK_HIT();
	return -error;
}

SEC("lsm/task_setnice")
int BPF_PROG(by_hook, struct task_struct *task, int nice, int result)
{
	return forbid(task, nice, hook_nice, EXDEV, result);
}

SEC("fmod_ret/security_task_setnice")
int BPF_PROG(by_result, struct task_struct *task, int nice, int result)
{
	return forbid(task, nice, changed_nice, ENOTNAM, result);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
