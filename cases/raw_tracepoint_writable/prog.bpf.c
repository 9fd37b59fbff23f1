// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * bpf_test_finish is the tracepoint at the end of a test run, whose error it may change: Linux net/bpf/test_run.c. Its
 * argument is a pointer to that error. Both names of such programs. Needs no relocation.
 */
#include <everykernel.h>

int wanted_error, other_error; /* set by the check */
int found_error;

static __always_inline int change(struct bpf_raw_tracepoint_args *ctx, int wanted)
{
	int *error = (int *)ctx->args[0];

	if (!wanted)
		return 0;
	found_error = *error;
	*error = wanted;
	EK_HIT();
	return 0;
}

SEC("raw_tp.w/bpf_test_finish")
int on_finish(struct bpf_raw_tracepoint_args *ctx)
{
	return change(ctx, wanted_error);
}

SEC("raw_tracepoint.w/bpf_test_finish")
int on_finish_too(struct bpf_raw_tracepoint_args *ctx)
{
	return change(ctx, other_error);
}

SEC("socket")
int tested(struct __sk_buff *skb)
{
	return 29;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
