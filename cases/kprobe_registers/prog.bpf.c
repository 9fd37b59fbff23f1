// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Arguments and result of a kernel function straight from the registers of this target. Needs no relocation. */
#include <everykernel.h>
#include <registers.h>

__u64 wanted_count; /* set by the check: marks its own read */
__u64 reader; /* the thread between entry and return */
__u64 buffer;
__s64 returned;
char first_bytes[8];

/* vfs_read(struct file *file, char __user *buf, size_t count, loff_t *pos) */
SEC("kprobe/vfs_read")
int on_entry(struct pt_regs *ctx)
{
	if (!EK_MINE() || (ek_ulong)PT_REGS_PARM3(ctx) != wanted_count)
		return 0;
	buffer = (ek_ulong)PT_REGS_PARM2(ctx);
	reader = bpf_get_current_pid_tgid();
	EK_HIT();
	return 0;
}

SEC("kretprobe/vfs_read")
int on_exit(struct pt_regs *ctx)
{
	if (!reader || bpf_get_current_pid_tgid() != reader)
		return 0;
	reader = 0;
	returned = (ek_long)PT_REGS_RC(ctx);
	EK_ASSERT(bpf_probe_read_user(first_bytes, sizeof(first_bytes), (void *)buffer) == 0);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
