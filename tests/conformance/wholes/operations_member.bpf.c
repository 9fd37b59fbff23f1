// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An operations struct with a member that the kernel's does not have. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct tcp_congestion_ops {
	unsigned (*ssthresh)(void *sk);
	unsigned (*no_such_member)(void *sk);
	char name[16];
};

SEC("struct_ops") unsigned ssthresh(unsigned long long *ctx) { return 2; }

SEC(".struct_ops")
struct tcp_congestion_ops made = { .no_such_member = (void *)ssthresh, .name = "ek_made" };

char _license[] SEC("license") = "GPL";
