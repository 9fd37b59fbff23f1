// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Candidates that a record ruled out are candidates for the next one. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct irq_info { unsigned evtchn; unsigned irq; } __attribute__((preserve_access_index));
unsigned a, b;

SEC("raw_tp/sys_enter") int one(void *ctx)
{
	a = BPF_CORE_READ((struct irq_info *)bpf_get_current_task(), evtchn);
	b = BPF_CORE_READ((struct irq_info *)bpf_get_current_task(), irq);
	return 0;
}

char _license[] SEC("license") = "GPL";
