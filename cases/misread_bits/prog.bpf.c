// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * sock.sk_userlocks is a byte since 6.9; before, it is four bits, and the other four of its byte are flags of the socket.
 * Read as a byte, they come along. A branch on the kernel's version keeps one program right everywhere.
 */
#include <everykernel.h>
#include <core_read.h>
#include <registers.h>

extern int LINUX_KERNEL_VERSION __kconfig;

struct sock {
	unsigned char sk_userlocks;
} __attribute__((preserve_access_index));

struct sock___bits {
	unsigned int sk_padding : 1, sk_userlocks : 4;
} __attribute__((preserve_access_index));

struct socket {
	struct sock *sk;
} __attribute__((preserve_access_index));

__u64 plain_value, guarded_value, right_value;

static struct sock *socket_of(struct pt_regs *ctx)
{
	return EK_READ((struct socket *)(unsigned long)PT_REGS_PARM1(ctx), sk);
}

/* inet_listen(struct socket *sock, int backlog) */
SEC("kprobe/inet_listen")
int plain(struct pt_regs *ctx)
{
	if (EK_MINE())
		plain_value = BPF_CORE_READ(socket_of(ctx), sk_userlocks);
	return 0;
}

SEC("kprobe/inet_listen")
int guarded(struct pt_regs *ctx)
{
	struct sock *sk = socket_of(ctx);

	if (!EK_MINE())
		return 0;
	if (LINUX_KERNEL_VERSION < 0x060900)
		guarded_value = BPF_CORE_READ_BITFIELD_PROBED((struct sock___bits *)sk, sk_userlocks);
	else
		guarded_value = BPF_CORE_READ(sk, sk_userlocks);
	return 0;
}

SEC("kprobe/inet_listen")
int adapted(struct pt_regs *ctx)
{
	struct sock *sk = socket_of(ctx);

	if (EK_MINE())
		right_value = BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
