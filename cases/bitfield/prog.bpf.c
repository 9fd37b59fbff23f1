// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Bitfields at positions that differ between the kernels. sock.sk_userlocks has four bits up to 6.1 and is a byte of its
 * own in 6.12: the local declaration says bitfield, the relocations make of it what this kernel has.
 */
#include <everykernel.h>
#include <core_read.h>

struct signal_struct {
	unsigned int is_child_subreaper : 1;
} __attribute__((preserve_access_index));

struct sock_common {
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
	unsigned char sk_no_check_tx : 1;
	unsigned char sk_userlocks : 4;
} __attribute__((preserve_access_index));

struct socket {
	struct sock *sk;
} __attribute__((preserve_access_index));

struct file {
	void *private_data;
} __attribute__((preserve_access_index));

struct fdtable {
	struct file **fd;
} __attribute__((preserve_access_index));

struct files_struct {
	struct fdtable *fdt;
} __attribute__((preserve_access_index));

struct task_struct {
	unsigned int sched_reset_on_fork : 1;
	struct signal_struct *signal;
	struct files_struct *files;
} __attribute__((preserve_access_index));

__u32 socket_fd; /* set by the check */
__u64 reset_on_fork;
__u64 subreaper;
__u64 reuse;
__u64 reuseport;
__u64 no_check;
__u64 userlocks;

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct signal_struct *signal;
	struct file **files, *file;
	struct socket *socket;
	struct sock *sock;

	if (!EK_MINE())
		return 0;
	signal = EK_READ(task, signal);
	reset_on_fork = BPF_CORE_READ_BITFIELD_PROBED(task, sched_reset_on_fork);
	subreaper = BPF_CORE_READ_BITFIELD_PROBED(signal, is_child_subreaper);

	files = EK_READ(task, files, fdt, fd);
	file = ek_pointer_at(files, socket_fd);
	EK_ASSERT(file);
	socket = EK_READ(file, private_data);
	sock = EK_READ(socket, sk);
	EK_ASSERT(sock);
	reuse = BPF_CORE_READ_BITFIELD_PROBED(sock, __sk_common.skc_reuse);
	reuseport = BPF_CORE_READ_BITFIELD_PROBED(sock, __sk_common.skc_reuseport);
	no_check = BPF_CORE_READ_BITFIELD_PROBED(sock, sk_no_check_tx);
	userlocks = BPF_CORE_READ_BITFIELD_PROBED(sock, sk_userlocks);
	EK_HIT();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
