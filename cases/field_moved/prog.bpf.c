// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * struct net_device is where fields move most: mtu is at byte 544 in Debian's 5.10, 224 in 6.1, 56 in 6.12; name, its first
 * field until 6.8, is now behind the fast path (Linux commit 43a71cd66b9c, "net-device: reorganize net_device fast path
 * variables", in v6.8).
 */
#include <everykernel.h>
#include <core_read.h>

struct net_device {
	char name[16];
	unsigned int flags;
	unsigned int mtu;
	int ifindex;
} __attribute__((preserve_access_index));

struct net {
	struct net_device *loopback_dev;
} __attribute__((preserve_access_index));

struct nsproxy {
	struct net *net_ns;
} __attribute__((preserve_access_index));

struct task_struct {
	struct nsproxy *nsproxy;
} __attribute__((preserve_access_index));

char name[16];
__u32 flags;
__u32 mtu;
__u32 ifindex;
__u32 mtu_offset; /* in this kernel, bytes */

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net_device *loopback;

	if (!EK_MINE())
		return 0;
	loopback = EK_READ(task, nsproxy, net_ns, loopback_dev);
	EK_ASSERT(loopback);
	flags = EK_READ(loopback, flags);
	mtu = EK_READ(loopback, mtu);
	ifindex = EK_READ(loopback, ifindex);
	EK_ASSERT(BPF_CORE_READ_STR_INTO(&name, loopback, name) == sizeof("lo"));
	mtu_offset = bpf_core_field_offset(struct net_device, mtu);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
