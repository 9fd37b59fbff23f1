// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* One program for each need of the kernel's own BTF, beside one that only needs relocation. */
#include <everykernel.h>
#include <core_read.h>

#include <bpf/bpf_tracing.h>

struct task_struct {
	__s32 pid;
} __attribute__((preserve_access_index));

struct file {
	unsigned int f_flags;
} __attribute__((preserve_access_index));

struct cgroup;
struct bpf_iter__task;

extern const int bpf_prog_active __ksym;
extern struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym;

__u32 pid, size;

SEC("tracepoint/syscalls/sys_enter_getpgid")
int relocated(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	pid = EK_READ(task, pid);
	return 0;
}

SEC("kprobe/vfs_read")
int sized(void *ctx)
{
	size = bpf_core_type_size(struct task_struct);
	return 0;
}

SEC("fentry/vfs_read")
int BPF_PROG(by_fentry, struct file *file)
{
	size = file->f_flags;
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(by_tp_btf, int preempt, struct task_struct *before)
{
	pid = before->pid;
	return 0;
}

SEC("lsm/file_open")
int BPF_PROG(by_lsm, struct file *file)
{
	size = file->f_flags;
	return 0;
}

SEC("iter/task")
int by_iter(void *ctx)
{
	return 0;
}

SEC("kprobe/vfs_read")
int by_symbol(void *ctx)
{
	size = *(int *)bpf_this_cpu_ptr(&bpf_prog_active);
	return 0;
}

SEC("kprobe/vfs_read")
int by_function(void *ctx)
{
	bpf_task_acquire((void *)bpf_get_current_task());
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
