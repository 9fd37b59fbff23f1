// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Operations structs: as the kernel has them, with members that it does not have or has otherwise, and unknown ones. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sock;

struct tcp_congestion_ops {
	unsigned (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, unsigned ack, unsigned acked);
	unsigned (*undo_cwnd)(struct sock *sk);
	void (*init)(struct sock *sk);
	void (*no_such_function)(void);
	unsigned long no_such_member;
	char name[16];
};

struct tcp_congestion_ops___other {
	unsigned (*ssthresh)(struct sock *sk);
	char name[8];
};

struct tcp_congestion_ops___kind {
	unsigned (*ssthresh)(struct sock *sk);
	void *flags;
};

struct no_such_ops {
	int (*operation)(void);
};

SEC("struct_ops/ssthresh") unsigned int ssthresh(unsigned long long *ctx) { return 2; }
SEC("struct_ops/cong_avoid") int cong_avoid(unsigned long long *ctx) { return 0; }
SEC("struct_ops/undo_cwnd") unsigned int undo_cwnd(unsigned long long *ctx) { return ctx[0] != 0; }
SEC("struct_ops") int init(unsigned long long *ctx) { return 0; }
SEC("struct_ops.s") int init_sleepable(unsigned long long *ctx) { return 0; }
SEC("struct_ops") int extra(unsigned long long *ctx) { return 0; }
SEC("struct_ops") unsigned int short_name(unsigned long long *ctx) { return 2; }
SEC("struct_ops") unsigned int other_kind(unsigned long long *ctx) { return 2; }
SEC("struct_ops") int operation(unsigned long long *ctx) { return 0; }
SEC("struct_ops") unsigned int linked(unsigned long long *ctx) { return 2; }
SEC("struct_ops") unsigned int optional(unsigned long long *ctx) { return 2; }
SEC("struct_ops") int unused(unsigned long long *ctx) { return 0; }
SEC("socket") int beside(void *ctx) { return 0; }

SEC(".struct_ops")
struct tcp_congestion_ops whole = {
	.ssthresh = (void *)ssthresh,
	.cong_avoid = (void *)cong_avoid,
	.undo_cwnd = (void *)undo_cwnd,
	.init = (void *)init,
	.name = "ek_whole",
};

SEC(".struct_ops")
struct tcp_congestion_ops sleepable = { .init = (void *)init_sleepable, .name = "ek_sleepable" };

SEC(".struct_ops")
struct tcp_congestion_ops with_extra = { .no_such_function = (void *)extra, .name = "ek_extra" };

SEC(".struct_ops")
struct tcp_congestion_ops___other with_short_name = { .ssthresh = (void *)short_name, .name = "ek_shrt" };

SEC(".struct_ops")
struct tcp_congestion_ops___kind with_other_kind = { .ssthresh = (void *)other_kind, .flags = 0 };

SEC(".struct_ops")
struct no_such_ops unknown = { .operation = (void *)operation };

SEC(".struct_ops.link")
struct tcp_congestion_ops by_link = { .ssthresh = (void *)linked, .name = "ek_link" };

SEC("?.struct_ops")
struct tcp_congestion_ops on_demand = { .ssthresh = (void *)optional, .name = "ek_optional" };

char LICENSE[] SEC("license") = "GPL";
