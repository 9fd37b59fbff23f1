// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A service at [::1]:7001 that is really somewhere else, for TCP and for UDP; whoever binds 7002 gets 7003. */
#include <everykernel.h>

#include <bpf/bpf_endian.h>

__u32 real_port, forbidden_port; /* set by the check */
__u32 bound_port;

#define SERVICE bpf_htons(7001)

SEC("cgroup/connect6")
int on_connect(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == SERVICE) {
		EK_ASSERT(ctx->user_ip6[0] == 0 && ctx->user_ip6[3] == bpf_htonl(1));
		ctx->user_port = bpf_htons(real_port);
		EK_HIT();
	}
	return 1;
}

SEC("cgroup/getpeername6")
int on_getpeername(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == bpf_htons(real_port)) {
		ctx->user_port = SERVICE;
		EK_HIT();
	}
	return 1;
}

SEC("cgroup/sendmsg6")
int on_sendmsg(struct bpf_sock_addr *ctx)
{
	return on_connect(ctx);
}

SEC("cgroup/recvmsg6")
int on_recvmsg(struct bpf_sock_addr *ctx)
{
	return on_getpeername(ctx);
}

SEC("cgroup/bind6")
int on_bind(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == bpf_htons(7002)) {
		ctx->user_port = bpf_htons(7003);
		EK_HIT();
	}
	return 1;
}

SEC("cgroup/post_bind6")
int on_bound(struct bpf_sock *sk)
{
	bound_port = sk->src_port;
	return sk->src_port != forbidden_port;
}

SEC("cgroup/getsockname6")
int on_getsockname(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == bpf_htons(7003)) {
		ctx->user_port = bpf_htons(7004);
		EK_HIT();
	}
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
