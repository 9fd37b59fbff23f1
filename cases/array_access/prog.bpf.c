// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Elements of arrays: of structs, at a place known when compiling, and of a flexible array at the end of a struct. */
#include <everykernel.h>
#include <core_read.h>

struct rlimit {
	unsigned long rlim_cur;
	unsigned long rlim_max;
} __attribute__((preserve_access_index));

struct signal_struct {
	struct rlimit rlim[8]; /* the kernel's has 16 */
} __attribute__((preserve_access_index));

struct kgid {
	__u32 val;
};

struct group_info {
	int ngroups;
	struct kgid gid[];
} __attribute__((preserve_access_index));

struct cred {
	struct group_info *group_info;
} __attribute__((preserve_access_index));

struct task_struct {
	struct signal_struct *signal;
	const struct cred *cred;
	char comm[16];
} __attribute__((preserve_access_index));

__u64 nofile[2]; /* RLIMIT_NOFILE, soft and hard */
__u32 ngroups;
__u32 groups[3];
__u32 third_letter;

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct group_info *info;

	if (!EK_MINE())
		return 0;
	nofile[0] = EK_READ(task, signal, rlim[7].rlim_cur);
	nofile[1] = EK_READ(task, signal, rlim[7].rlim_max);
	info = EK_READ(task, cred, group_info);
	ngroups = EK_READ(info, ngroups);
	groups[0] = EK_READ(info, gid[0].val);
	groups[1] = EK_READ(info, gid[1].val);
	groups[2] = EK_READ(info, gid[2].val);
	third_letter = EK_READ(task, comm[2]);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
