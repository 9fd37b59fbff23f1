// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The second program is ambiguous by itself; together, the first has left one type of the name. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct irq_info { unsigned evtchn; unsigned irq; } __attribute__((preserve_access_index));

unsigned a, b;

SEC("raw_tp/sys_enter") int first(void *ctx)
{
	a = BPF_CORE_READ((struct irq_info *)bpf_get_current_task(), evtchn);
	return 0;
}

SEC("raw_tp/sys_exit") int second(void *ctx)
{
	b = BPF_CORE_READ((struct irq_info *)bpf_get_current_task(), irq);
	return 0;
}

char _license[] SEC("license") = "GPL";
