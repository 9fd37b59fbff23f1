// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A kernel function with a flavour, and one of another prototype. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern void bpf_rcu_read_lock___old(void) __ksym __weak;
extern void bpf_rcu_read_unlock(int, int, int) __ksym __weak;
SEC("raw_tp/sys_enter") int flavoured(void *ctx)
{
	if (bpf_rcu_read_lock___old)
		return 1;
	return 0;
}
SEC("raw_tp/sys_enter") int mistaken(void *ctx)
{
	if (bpf_rcu_read_unlock)
		return 1;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
