// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Forbids one nice value, by an error that nothing else gives. */
#include <everykernel.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define EXDEV 18

struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

int wanted_nice; /* set by the check */
int asked_pid;

SEC("lsm/task_setnice")
int BPF_PROG(on_setnice, struct task_struct *task, int nice, int result)
{
	if (!EK_MINE() || result)
		return result;
	if (nice != wanted_nice)
		return 0;
	asked_pid = task->pid;
	EK_HIT();
	return -EXDEV;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
