// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An operations struct that is not made: neither are its programs loaded; that of a question mark's in one that is. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct tcp_congestion_ops {
	unsigned (*ssthresh)(void *sk);
	void (*cong_avoid)(void *sk, unsigned ack, unsigned acked);
	unsigned (*undo_cwnd)(void *sk);
	char name[16];
};

SEC("?struct_ops") unsigned ssthresh(unsigned long long *ctx) { return 2; }
SEC("struct_ops") int cong_avoid(unsigned long long *ctx) { return 0; }
SEC("struct_ops") unsigned undo_cwnd(unsigned long long *ctx) { return 2; }
SEC("struct_ops") unsigned refused(unsigned long long *ctx) { return *(int *)ctx[5]; }

SEC(".struct_ops")
struct tcp_congestion_ops made = { .ssthresh = (void *)ssthresh, .cong_avoid = (void *)cong_avoid, .undo_cwnd = (void *)undo_cwnd, .name = "ek_made" };

SEC("?.struct_ops")
struct tcp_congestion_ops not_made = { .ssthresh = (void *)refused, .name = "ek_not" };

char _license[] SEC("license") = "GPL";
