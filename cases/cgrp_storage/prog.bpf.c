// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts the system calls of each cgroup's tasks, with the cgroup. */
#include <everykernel.h>

#include <bpf/bpf_tracing.h>

#define BPF_MAP_TYPE_CGRP_STORAGE 32 /* this and the helper are newer than the oldest headers */
static void *(*const cgrp_storage_get)(void *map, void *cgroup, void *value, __u64 flags) = (void *)210;

struct cgroup;

struct css_set {
	struct cgroup *dfl_cgrp;
} __attribute__((preserve_access_index));

struct task_struct {
	struct css_set *cgroups;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_CGRP_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} cgroups SEC(".maps");

long wanted; /* number of the system call, set by the check */

SEC("tp_btf/sys_enter")
int BPF_PROG(on_call, void *registers, long number)
{
	struct task_struct *task;
	__u64 *calls;

	if (number != wanted || !EK_MINE())
		return 0;
	task = (void *)bpf_get_current_task_btf();
	calls = cgrp_storage_get(&cgroups, task->cgroups->dfl_cgrp, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (calls) {
		__sync_fetch_and_add(calls, 1);
		EK_HIT();
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
