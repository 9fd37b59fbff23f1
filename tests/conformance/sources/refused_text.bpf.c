// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A refused record in a subprogram: libbpf refuses every program of the object, also those that never call it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define CORE __attribute__((preserve_access_index))

struct irq_info { unsigned irq; } CORE;
struct task_struct { int pid; } CORE;

long out;

static __attribute__((noinline)) long ambiguous(void *pointer)
{
	struct irq_info *info = pointer;

	return BPF_CORE_READ(info, irq);
}

static __attribute__((noinline)) long harmless(void *pointer)
{
	struct task_struct *t = pointer;

	return BPF_CORE_READ(t, pid);
}

SEC("raw_tp/sched_switch")
int calls_it(void *ctx)
{
	out = ambiguous((void *)bpf_get_current_task());
	return 0;
}

SEC("raw_tp/sched_switch")
int calls_another(void *ctx)
{
	out = harmless((void *)bpf_get_current_task());
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
