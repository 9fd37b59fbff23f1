// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A kernel function that is there, with a flavour at the end of its name, and called. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern void bpf_rcu_read_lock___flavour(void) __ksym;
extern void bpf_rcu_read_unlock___flavour(void) __ksym;

SEC("tc") int flavoured(void *ctx)
{
	bpf_rcu_read_lock___flavour();
	bpf_rcu_read_unlock___flavour();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
