// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Fields that only some kernels have: inode.i_mtime is a struct up to 6.5, __i_mtime up to 6.10, and two fields since;
 * task_struct.cpu is in thread_info since 5.16.
 */
#include <everykernel.h>
#include <core_read.h>

struct timespec64 {
	__s64 tv_sec;
	long tv_nsec;
} __attribute__((preserve_access_index));

struct inode {
	__s64 i_mtime_sec;
	__u32 i_mtime_nsec;
} __attribute__((preserve_access_index));

struct inode___before_6_11 {
	struct timespec64 __i_mtime;
} __attribute__((preserve_access_index));

struct inode___before_6_6 {
	struct timespec64 i_mtime;
} __attribute__((preserve_access_index));

struct file {
	struct inode *f_inode;
} __attribute__((preserve_access_index));

struct fdtable {
	struct file **fd;
} __attribute__((preserve_access_index));

struct files_struct {
	struct fdtable *fdt;
} __attribute__((preserve_access_index));

struct thread_info {
	__u32 cpu;
} __attribute__((preserve_access_index));

struct task_struct {
	struct thread_info thread_info;
	struct files_struct *files;
} __attribute__((preserve_access_index));

struct task_struct___before_5_16 {
	unsigned int cpu;
} __attribute__((preserve_access_index));

__u32 file_fd; /* set by the check */
__s64 seconds;
__s64 nanoseconds;
__u32 generation; /* of the inode's fields: 1, 2 or 3 */
__u32 cpu;

static __always_inline void read_mtime(struct inode *inode)
{
	struct inode___before_6_11 *middle = (void *)inode;
	struct inode___before_6_6 *old = (void *)inode;

	if (bpf_core_field_exists(inode->i_mtime_sec)) {
		seconds = EK_READ(inode, i_mtime_sec);
		nanoseconds = EK_READ(inode, i_mtime_nsec);
		generation = 3;
	} else if (bpf_core_field_exists(middle->__i_mtime)) {
		seconds = EK_READ(middle, __i_mtime.tv_sec);
		nanoseconds = EK_READ(middle, __i_mtime.tv_nsec);
		generation = 2;
	} else {
		seconds = EK_READ(old, i_mtime.tv_sec);
		nanoseconds = EK_READ(old, i_mtime.tv_nsec);
		generation = 1;
	}
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___before_5_16 *old = (void *)task;
	struct file **files, *file;

	if (!EK_MINE())
		return 0;
	if (bpf_core_field_exists(task->thread_info.cpu))
		cpu = EK_READ(task, thread_info.cpu);
	else
		cpu = EK_READ(old, cpu);
	EK_ASSERT(cpu == bpf_get_smp_processor_id());

	files = EK_READ(task, files, fdt, fd);
	file = ek_pointer_at(files, file_fd);
	EK_ASSERT(file);
	read_mtime(EK_READ(file, f_inode));
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
