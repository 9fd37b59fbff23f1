// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * bpf_test_finish is the tracepoint at the end of a test run, whose error it may change: Linux net/bpf/test_run.c. Its
 * argument is a pointer to that error. Needs no relocation.
 */
#include <everykernel.h>

int wanted_error; /* set by the check */
int found_error;

SEC("raw_tp.w/bpf_test_finish")
int on_finish(struct bpf_raw_tracepoint_args *ctx)
{
	int *error = (int *)ctx->args[0];

	if (!wanted_error)
		return 0;
	found_error = *error;
	*error = wanted_error;
	EK_HIT();
	return 0;
}

SEC("socket")
int tested(struct __sk_buff *skb)
{
	return 29;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
