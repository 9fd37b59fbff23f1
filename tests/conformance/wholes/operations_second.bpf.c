// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Of two structs in a section with a question mark the second is made, and has a member that no kernel has. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct tcp_congestion_ops {
	unsigned (*ssthresh)(void *sk);
	unsigned (*undo_cwnd)(void *sk);
	char name[16];
};

struct tcp_congestion_ops___lacking {
	unsigned (*ssthresh)(void *sk);
	unsigned (*no_such_member)(void *sk);
};

SEC("struct_ops") unsigned ssthresh(unsigned long long *ctx) { return 2; }
SEC("struct_ops") unsigned unknown(unsigned long long *ctx) { return 2; }

SEC("?.struct_ops")
struct tcp_congestion_ops first = { .ssthresh = (void *)ssthresh, .name = "ek_first" };

SEC("?.struct_ops")
struct tcp_congestion_ops___lacking second = { .ssthresh = (void *)ssthresh, .no_such_member = (void *)unknown };

char _license[] SEC("license") = "GPL";
