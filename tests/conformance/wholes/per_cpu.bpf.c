// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Variables per CPU: libbpf 1.8 makes a map of them where the kernel knows such data, 1.7 does not open the object. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

long counts SEC(".percpu");

SEC("raw_tp/sys_enter") int plain(void *ctx) { return 0; }

SEC("raw_tp/sys_exit") int counting(void *ctx)
{
	counts++;
	return 0;
}

char _license[] SEC("license") = "GPL";
