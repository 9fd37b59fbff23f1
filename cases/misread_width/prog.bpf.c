// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * task_struct.on_cpu was an int up to 6.18 and is a byte in 7.3. CO-RE relocates where it is; a probed read copies the four
 * bytes that it was compiled for. Read by the size that the kernel has, it is right on both.
 */
#include <everykernel.h>
#include <core_read.h>

struct task_struct {
	int on_cpu;
} __attribute__((preserve_access_index));

__u32 plain_value;
__u64 right_value;

SEC("tracepoint/syscalls/sys_enter_getpgid")
int plain(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (EK_MINE())
		plain_value = BPF_CORE_READ(task, on_cpu);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int adapted(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (EK_MINE())
		right_value = BPF_CORE_READ_BITFIELD_PROBED(task, on_cpu);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
