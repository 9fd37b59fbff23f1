// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What cannot be relocated loads where it is not reached. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct task_struct { int pid; int no_such_member; } __attribute__((preserve_access_index));
SEC("kprobe/do_exit") int one(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	return bpf_core_field_exists(task->no_such_member) ? BPF_CORE_READ(task, no_such_member) : 0;
}

char _license[] SEC("license") = "GPL";
