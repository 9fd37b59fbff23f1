// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A static function that another section refers to by its own name: by its address. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static long each(__u32 index, void *ctx)
{
	return 0;
}

SEC("raw_tp/sys_enter") int loops(void *ctx)
{
	return bpf_loop(3, each, (void *)0, 0);
}

char LICENSE[] SEC("license") = "GPL";
