// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A type of a module: the kernel's own types alone are looked at, and none is there. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct nf_conntrack_net {
	int count;
} __attribute__((preserve_access_index));

SEC("raw_tp/sys_enter") int one(void *ctx)
{
	if (!bpf_core_type_exists(struct nf_conntrack_net))
		*(volatile int *)0 = 1; /* no verifier takes it */
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
