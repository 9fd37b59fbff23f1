// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Programs of the operations struct that is there for tests: it is never registered, its programs run in test runs. One
 * of them may sleep. Linux net/bpf/bpf_dummy_struct_ops.c. Needs no relocation, but the kernel's own types.
 */
#include <everykernel.h>

#include <bpf/bpf_tracing.h>

struct bpf_dummy_ops_state {
	int val;
};

struct bpf_dummy_ops {
	int (*test_1)(struct bpf_dummy_ops_state *state);
};

struct bpf_dummy_ops___sleepable {
	int (*test_sleepable)(struct bpf_dummy_ops_state *state);
};

SEC("struct_ops/test_1")
int BPF_PROG(doubles, struct bpf_dummy_ops_state *state)
{
	if (!state)
		return -1;
	state->val *= 2;
	EK_HIT();
	return state->val + 1;
}

SEC("struct_ops.s/test_sleepable")
int BPF_PROG(triples, struct bpf_dummy_ops_state *state)
{
	if (!state)
		return -1;
	state->val *= 3;
	EK_HIT();
	return state->val + 1;
}

SEC("?.struct_ops")
struct bpf_dummy_ops dummies = {
	.test_1 = (void *)doubles,
};

/* In a section of its own: libbpf leaves out only the first struct of a "?" section. */
SEC("?.struct_ops.link")
struct bpf_dummy_ops___sleepable sleepers = {
	.test_sleepable = (void *)triples,
};

char LICENSE[] SEC("license") = "Dual MIT/GPL";
