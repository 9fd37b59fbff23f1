// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Candidates that a record ruled out are candidates for the next one. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct irq_info___any { int irq; } __attribute__((preserve_access_index));
SEC("kprobe/do_exit") int one(void *ctx)
{
	struct irq_info___any *info = ctx;
	return bpf_core_field_offset(info->irq);
}

char _license[] SEC("license") = "GPL";
