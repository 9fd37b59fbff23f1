// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Which ports a connection has, as its two ends see it. */
#include <everykernel.h>

#include <bpf/bpf_endian.h>

__u32 client_local, client_remote, server_local, server_remote;

SEC("sockops")
int on_event(struct bpf_sock_ops *ctx)
{
	switch (ctx->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		client_local = ctx->local_port;
		client_remote = bpf_ntohl(ctx->remote_port);
		EK_HIT();
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		server_local = ctx->local_port;
		server_remote = bpf_ntohl(ctx->remote_port);
		EK_HIT();
		break;
	}
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
