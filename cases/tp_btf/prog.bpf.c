// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Parent and child of a fork, by plain loads through typed arguments. */
#include <everykernel.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct task_struct {
	int pid, tgid;
} __attribute__((preserve_access_index));

int parent_pid, child_pid, child_tgid;

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	if (!EK_MINE())
		return 0;
	parent_pid = parent->pid;
	child_pid = child->pid;
	child_tgid = child->tgid;
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
