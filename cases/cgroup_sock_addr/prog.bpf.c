// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A service at 127.0.0.1:7001 that is really somewhere else, for TCP and for UDP; whoever binds 7002 gets 7003. */
#include <everykernel.h>

#include <bpf/bpf_endian.h>

__u32 real_port; /* set by the check */

#define SERVICE bpf_htons(7001)

SEC("cgroup/connect4")
int on_connect(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == SERVICE) {
		EK_ASSERT(ctx->user_ip4 == bpf_htonl(0x7f000001));
		ctx->user_port = bpf_htons(real_port);
		EK_HIT();
	}
	return 1;
}

SEC("cgroup/getpeername4")
int on_getpeername(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == bpf_htons(real_port)) {
		ctx->user_port = SERVICE;
		EK_HIT();
	}
	return 1;
}

SEC("cgroup/sendmsg4")
int on_sendmsg(struct bpf_sock_addr *ctx)
{
	return on_connect(ctx);
}

SEC("cgroup/recvmsg4")
int on_recvmsg(struct bpf_sock_addr *ctx)
{
	return on_getpeername(ctx);
}

SEC("cgroup/bind4")
int on_bind(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == bpf_htons(7002)) {
		ctx->user_port = bpf_htons(7003);
		EK_HIT();
	}
	return 1;
}

SEC("cgroup/getsockname4")
int on_getsockname(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == bpf_htons(7003)) {
		ctx->user_port = bpf_htons(7004);
		EK_HIT();
	}
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
