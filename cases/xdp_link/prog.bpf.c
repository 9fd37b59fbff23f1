// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts the datagrams to one UDP port, and drops those whose payload begins with a mark. */
#include <everykernel.h>

#include <bpf/bpf_endian.h>

__u32 wanted_port; /* set by the check */
__u64 dropped;

SEC("xdp")
int on_packet(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	/* Ethernet (14 bytes), IPv4 (20), UDP (8), and the first byte behind */
	if (data + 43 > end || data[12] != 8 || data[13] != 0 || data[14] != 0x45 || data[23] != 17)
		return XDP_PASS;
	if (((__u32)data[36] << 8 | data[37]) != wanted_port)
		return XDP_PASS;
	EK_HIT();
	if (data[42] != '#')
		return XDP_PASS;
	__sync_fetch_and_add(&dropped, 1);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
