// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The id that a type has in the kernel's own BTF, handed back to the kernel: it prints the value by that id. */
#include <everykernel.h>
#include <core_read.h>

struct load_weight {
	unsigned long weight;
	__u32 inv_weight;
} __attribute__((preserve_access_index));

struct sched_entity {
	struct load_weight load;
} __attribute__((preserve_access_index));

struct task_struct {
	struct sched_entity se;
} __attribute__((preserve_access_index));

char text[128];
__u64 weight;
__u32 kernel_id;
__u32 local_id;

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct btf_ptr pointer = {};

	if (!EK_MINE())
		return 0;
	kernel_id = bpf_core_type_id_kernel(struct load_weight);
	local_id = bpf_core_type_id_local(struct load_weight);
	weight = EK_READ(task, se.load.weight);
	pointer.type_id = kernel_id;
	pointer.ptr = __builtin_preserve_access_index(&task->se.load);
	EK_ASSERT(bpf_snprintf_btf(text, sizeof(text), &pointer, sizeof(pointer), BTF_F_COMPACT) > 0);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
