// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A congestion control that never slows down, and counts its connections: what a struct tcp_congestion_ops needs. */
#pragma once

#include <everykernel.h>

#include <bpf/bpf_tracing.h>

struct sock;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*init)(struct sock *sk);
	void (*release)(struct sock *sk);
	char name[16];
};

__u64 started, ended;

SEC("struct_ops/ssthresh")
__u32 BPF_PROG(ssthresh, struct sock *sk)
{
	return 100;
}

SEC("struct_ops/cong_avoid")
void BPF_PROG(cong_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
}

SEC("struct_ops/undo_cwnd")
__u32 BPF_PROG(undo_cwnd, struct sock *sk)
{
	return 100;
}

SEC("struct_ops/init")
void BPF_PROG(init, struct sock *sk)
{
	__sync_fetch_and_add(&started, 1);
}

SEC("struct_ops/release")
void BPF_PROG(release, struct sock *sk)
{
	__sync_fetch_and_add(&ended, 1);
}

#define EK_CONGESTION(title)                                                                                           \
	{                                                                                                              \
		.ssthresh = (void *)ssthresh, .cong_avoid = (void *)cong_avoid, .undo_cwnd = (void *)undo_cwnd,       \
		.init = (void *)init, .release = (void *)release, .name = title,                                       \
	}
