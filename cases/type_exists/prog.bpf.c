// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Types that only some kernels have, each with a slab cache of its own by which the check knows, and sizes of types. */
#include <everykernel.h>

#include <bpf/bpf_core_read.h>

struct inode {
	int i_dummy_never_read;
};

struct maple_node { /* since 6.1 */
	int dummy_never_read;
};

struct vma_lock { /* in 6.12, with per-VMA locks, until these moved into the VMA itself */
	int dummy_never_read;
};

struct no_such_type {
	int dummy_never_read;
};

__u32 inode_size;
__u32 maple_node_exists, maple_node_size;
__u32 vma_lock_exists, vma_lock_size;
__u32 no_such_type_exists, no_such_type_size = 1;

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	if (!EK_MINE())
		return 0;
	inode_size = bpf_core_type_size(struct inode);
	maple_node_exists = bpf_core_type_exists(struct maple_node);
	maple_node_size = bpf_core_type_size(struct maple_node);
	vma_lock_exists = bpf_core_type_exists(struct vma_lock);
	vma_lock_size = bpf_core_type_size(struct vma_lock);
	no_such_type_exists = bpf_core_type_exists(struct no_such_type);
	no_such_type_size = bpf_core_type_size(struct no_such_type);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
