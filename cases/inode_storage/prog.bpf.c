// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts how often each file is opened, with the file itself. */
#include <everykernel.h>

#include <bpf/bpf_tracing.h>

struct inode {
	unsigned long i_ino;
} __attribute__((preserve_access_index));

struct file {
	struct inode *f_inode;
} __attribute__((preserve_access_index));

struct opened {
	__u64 inode;
	__u64 times;
};

struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct opened);
} files SEC(".maps");

SEC("lsm/file_open")
int BPF_PROG(on_open, struct file *file)
{
	struct opened *opened;

	if (!EK_MINE())
		return 0;
	EK_HIT();
	opened = bpf_inode_storage_get(&files, file->f_inode, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (opened) {
		opened->inode = file->f_inode->i_ino;
		opened->times++;
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
