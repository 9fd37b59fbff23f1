// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Sessions by trampolines: one program at a function's entry and its return. Needs no relocation.
 *
 * Linux net/bpf/test_run.c calls bpf_fentry_test1(1) once in each test run of a tracing program.
 */
#include <everykernel.h>

#include <bpf/bpf_tracing.h>

__u64 runs, sleepable_runs;

SEC("fsession/bpf_fentry_test1")
int BPF_PROG(on_both, int a)
{
	EK_ASSERT(a == 1);
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

SEC("fsession.s/bpf_fentry_test1")
int BPF_PROG(on_both_sleepable, int a)
{
	EK_ASSERT(a == 1);
	__sync_fetch_and_add(&sleepable_runs, 1);
	return 0;
}

SEC("fentry/bpf_fentry_test2")
int tested(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
