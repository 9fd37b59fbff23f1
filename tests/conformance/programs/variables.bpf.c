// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Variables of the kernel by their type, which the kernel describes from 6.1 on. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct rq { int cpu; } __attribute__((preserve_access_index));

extern const struct rq runqueues __ksym;

long out;

SEC("raw_tp/sched_switch")
int address(void *ctx)
{
	out = (long)&runqueues;
	return 0;
}

SEC("raw_tp/sched_switch")
int per_cpu(void *ctx)
{
	struct rq *rq = bpf_per_cpu_ptr(&runqueues, 0);

	if (rq)
		out = rq->cpu;
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
