// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Sends UDP packets back where they came from, drops other IPv4 packets, lets all else pass. Needs no relocation. */
#include <everykernel.h>

#include <bpf/bpf_endian.h>

#define ETH_P_IP    0x0800
#define IPPROTO_UDP 17

struct ethernet {
	__u8 to[6], from[6];
	__be16 protocol;
};

struct ipv4 {
	__u8 version_length, service;
	__be16 length, id, fragment;
	__u8 ttl, protocol;
	__be16 checksum;
	__be32 from, to;
};

struct udp {
	__be16 from, to, length, checksum;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 5);
	__type(key, __u32);
	__type(value, __u64);
} verdicts SEC(".maps");

static __always_inline int judge(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethernet *ethernet = data;
	struct ipv4 *ip = (void *)(ethernet + 1);
	struct udp *udp = (void *)(ip + 1);
	__u8 mac[6];
	__be32 address;
	__be16 port;

	if ((void *)(ip + 1) > end || ethernet->protocol != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if (ip->version_length != 0x45 || ip->protocol != IPPROTO_UDP || (void *)(udp + 1) > end)
		return XDP_DROP;
	__builtin_memcpy(mac, ethernet->to, 6);
	__builtin_memcpy(ethernet->to, ethernet->from, 6);
	__builtin_memcpy(ethernet->from, mac, 6);
	address = ip->to;
	ip->to = ip->from;
	ip->from = address;
	port = udp->to;
	udp->to = udp->from;
	udp->from = port;
	return XDP_TX;
}

SEC("xdp")
int reflect(struct xdp_md *ctx)
{
	__u32 verdict = judge(ctx);
	__u64 *count = bpf_map_lookup_elem(&verdicts, &verdict);

	EK_ASSERT(count);
	if (count)
		__sync_fetch_and_add(count, 1);
	return verdict;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
