// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts the system calls of each thread, with the thread itself. */
#include <everykernel.h>

#include <bpf/bpf_tracing.h>

struct task_struct {
	int pid;
} __attribute__((preserve_access_index));

struct calls {
	__u64 count;
	int thread;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct calls);
} threads SEC(".maps");

long wanted; /* number of the system call, set by the check */

SEC("tp_btf/sys_enter")
int BPF_PROG(on_call, void *registers, long number)
{
	struct task_struct *task;
	struct calls *calls;

	if (number != wanted)
		return 0;
	task = (void *)bpf_get_current_task_btf();
	calls = bpf_task_storage_get(&threads, (void *)task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (calls) {
		calls->count++;
		calls->thread = task->pid;
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
