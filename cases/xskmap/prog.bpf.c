// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Leads the packets to one UDP port into the memory of the process behind a socket. Needs no relocation. */
#include <everykernel.h>

#include <bpf/bpf_endian.h>

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

#define PORT_AT (14 + 20 + 2) /* Ethernet, IPv4 without options, UDP's source port */

__u16 port; /* set by the check */

SEC("xdp")
int lead(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + PORT_AT + 2 > end || *(__u16 *)(data + PORT_AT) != bpf_htons(port))
		return XDP_PASS;
	EK_HIT();
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_DROP);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
