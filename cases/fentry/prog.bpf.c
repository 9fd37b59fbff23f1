// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Arguments by type, read through pointers that the verifier trusts: the relocations patch plain loads. Arguments that
 * point to no struct cannot be read on 5.10, so buf and pos are left alone.
 */
#include <everykernel.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct inode {
	unsigned long i_ino;
} __attribute__((preserve_access_index));

struct file {
	struct inode *f_inode;
	unsigned int f_flags;
	__s64 f_pos;
} __attribute__((preserve_access_index));

__u64 wanted_count; /* set by the check: marks its own read */
__u64 inode, flags, position;
__s64 returned;

SEC("fentry/vfs_read")
int BPF_PROG(on_entry, struct file *file, char *buf, unsigned long count, __s64 *pos)
{
	if (!EK_MINE() || count != wanted_count)
		return 0;
	inode = file->f_inode->i_ino;
	flags = file->f_flags;
	position = file->f_pos;
	EK_HIT();
	return 0;
}

SEC("fexit/vfs_read")
int BPF_PROG(on_exit, struct file *file, char *buf, unsigned long count, __s64 *pos, long result)
{
	if (!EK_MINE() || count != wanted_count)
		return 0;
	EK_ASSERT(file->f_inode->i_ino == inode);
	returned = result;
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
