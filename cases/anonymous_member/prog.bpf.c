// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Nearly all of mm_struct is in an anonymous struct of the kernel's; here the fields are the struct's own. The access
 * strings differ, the names decide.
 */
#include <everykernel.h>
#include <core_read.h>

struct mm_struct {
	unsigned long total_vm;
	int map_count;
	unsigned long arg_start, arg_end;
} __attribute__((preserve_access_index));

struct task_struct {
	struct mm_struct *mm;
} __attribute__((preserve_access_index));

__u64 total_vm;
__u32 map_count;
__u64 arg_start, arg_end;

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mm_struct *mm;

	if (!EK_MINE())
		return 0;
	mm = EK_READ(task, mm);
	total_vm = EK_READ(mm, total_vm);
	map_count = EK_READ(mm, map_count);
	arg_start = EK_READ(mm, arg_start);
	arg_end = EK_READ(mm, arg_end);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
