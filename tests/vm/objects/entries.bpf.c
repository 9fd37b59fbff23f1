// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Functions that a kernel has, and to whose entry nothing attaches. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("kprobe/exc_int3") /* noinstr: ftrace does not list it */
int untraceable(void *ctx)
{
	return 0;
}

SEC("fentry/__vmalloc_node_range") /* nine arguments up to v6.9 */
int crowded(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
