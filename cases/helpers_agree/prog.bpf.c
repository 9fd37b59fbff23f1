// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Everything is asserted where it is seen, in the kernel: what relocated pointers read is what helpers return. */
#include <everykernel.h>
#include <core_read.h>

struct kuid {
	__u32 val;
};

struct cred {
	struct kuid uid;
} __attribute__((preserve_access_index));

struct task_struct {
	__s32 pid;
	__s32 tgid;
	struct task_struct *group_leader;
	const struct cred *cred;
	char comm[16];
} __attribute__((preserve_access_index));

SEC("tp/sched/sched_process_exec")
int on_exec(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 ids = bpf_get_current_pid_tgid();
	char told[16], read[16];
	int i;

	EK_ASSERT(EK_READ(task, pid) == (__s32)ids);
	EK_ASSERT(EK_READ(task, tgid) == (__s32)(ids >> 32));
	EK_ASSERT(EK_READ(task, group_leader, pid) == (__s32)(ids >> 32));
	EK_ASSERT(EK_READ(task, cred, uid.val) == (__u32)bpf_get_current_uid_gid());
	EK_ASSERT(bpf_get_current_comm(told, sizeof(told)) == 0);
	EK_ASSERT(BPF_CORE_READ_INTO(&read, task, comm) == 0);
	for (i = 0; i < (int)sizeof(told) && told[i]; i++)
		EK_ASSERT(told[i] == read[i]);
	EK_ASSERT(i > 0);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
