// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A variable of the kernel that has a type: used by one program of two. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern const int bpf_prog_active __ksym;
SEC("raw_tp/sys_enter") int reads(void *ctx)
{
	const int *there = bpf_per_cpu_ptr(&bpf_prog_active, 0);
	return there ? *there : 0;
}
SEC("raw_tp/sys_enter") int other(void *ctx) { return 0; }

char LICENSE[] SEC("license") = "GPL";
