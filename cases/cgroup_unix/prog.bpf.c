// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts what is done with Unix sockets, and forbids connecting and sending while it is told to. */
#include <everykernel.h>

#define AF_UNIX 1

enum { CONNECT, SENDMSG, RECVMSG, GETPEERNAME, GETSOCKNAME, CALLS };

__u32 forbidding; /* set by the check */
__u64 seen[CALLS];

static __always_inline void count(struct bpf_sock_addr *ctx, int call)
{
	EK_ASSERT(ctx->user_family == AF_UNIX);
	__sync_fetch_and_add(&seen[call], 1);
}

SEC("cgroup/connect_unix")
int on_connect(struct bpf_sock_addr *ctx)
{
	count(ctx, CONNECT);
	return !forbidding;
}

SEC("cgroup/sendmsg_unix")
int on_sendmsg(struct bpf_sock_addr *ctx)
{
	count(ctx, SENDMSG);
	return !forbidding;
}

SEC("cgroup/recvmsg_unix")
int on_recvmsg(struct bpf_sock_addr *ctx)
{
	count(ctx, RECVMSG);
	return 1;
}

SEC("cgroup/getpeername_unix")
int on_getpeername(struct bpf_sock_addr *ctx)
{
	count(ctx, GETPEERNAME);
	return 1;
}

SEC("cgroup/getsockname_unix")
int on_getsockname(struct bpf_sock_addr *ctx)
{
	count(ctx, GETSOCKNAME);
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
