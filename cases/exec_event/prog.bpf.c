// SPDX-License-Identifier: MIT OR GPL-2.0-only
#include <everykernel.h>
#include <core_read.h>

struct kuid {
	__u32 val;
};

struct cred {
	struct kuid uid;
} __attribute__((preserve_access_index));

struct inode {
	unsigned long i_ino;
} __attribute__((preserve_access_index));

struct file {
	struct inode *f_inode;
} __attribute__((preserve_access_index));

struct mm_struct {
	struct file *exe_file;
} __attribute__((preserve_access_index));

struct task_struct {
	struct mm_struct *mm;
	__s32 pid;
	__s32 tgid;
	struct task_struct *real_parent;
	const struct cred *cred;
	char comm[16];
} __attribute__((preserve_access_index));

struct linux_binprm {
	const char *filename;
} __attribute__((preserve_access_index));

struct event {
	__u64 inode;
	__u32 pid;
	__u32 parent;
	__u32 uid;
	char comm[16];
	char parent_comm[16];
	char filename[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct event unused_event; /* keeps the type in the object's BTF: the check decodes samples by its name */

/* TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm) */
SEC("raw_tp/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0], *parent;
	struct linux_binprm *program = (void *)ctx->args[2];
	struct event *event;

	if (!ek_pid || EK_READ(task, real_parent, tgid) != ek_pid)
		return 0;
	EK_HIT();
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		EK_FAIL();
		return 0;
	}
	event->pid = EK_READ(task, pid);
	event->parent = EK_READ(task, real_parent, tgid);
	event->uid = EK_READ(task, cred, uid.val);
	event->inode = EK_READ(task, mm, exe_file, f_inode, i_ino);
	EK_ASSERT(bpf_probe_read_kernel_str(event->comm, sizeof(event->comm), task->comm) > 0);
	parent = EK_READ(task, real_parent);
	EK_ASSERT(bpf_probe_read_kernel_str(event->parent_comm, sizeof(event->parent_comm), parent->comm) > 0);
	EK_ASSERT(bpf_probe_read_kernel_str(event->filename, sizeof(event->filename), EK_READ(program, filename)) > 0);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
