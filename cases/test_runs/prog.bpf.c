// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Each program works something out of what a test run gives it. Needs no relocation. */
#include <everykernel.h>

SEC("raw_tp/sys_enter")
int add(struct bpf_raw_tracepoint_args *ctx)
{
	EK_HIT();
	return ctx->args[0] + ctx->args[1];
}

SEC("sk_lookup")
int look_up(struct bpf_sk_lookup *ctx)
{
	EK_HIT();
	return ctx->local_port == 7100 ? SK_PASS : SK_DROP;
}

SEC("cgroup_skb/egress")
int pass_even(struct __sk_buff *skb)
{
	EK_HIT();
	return !(skb->len & 1);
}

SEC("netfilter")
int judge(void *ctx)
{
	EK_HIT();
	return 1; /* NF_ACCEPT */
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
