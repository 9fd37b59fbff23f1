// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A function in a section of its own, which a program calls. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__attribute__((noinline, section("helpers"))) int twice(int value)
{
	return value * 2 + (int)bpf_get_smp_processor_id();
}

SEC("raw_tp/sys_enter") int calls(void *ctx) { return twice(1); }

char LICENSE[] SEC("license") = "GPL";
