// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts packets, and drops them while it is told to. Needs no relocation. */
#include <everykernel.h>

#define NF_DROP	  0
#define NF_ACCEPT 1

__u32 dropping; /* set by the check */

SEC("netfilter")
int on_packet(void *ctx)
{
	EK_HIT();
	return dropping ? NF_DROP : NF_ACCEPT;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
