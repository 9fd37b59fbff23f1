// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts the datagrams to one UDP port that leave and enter the cgroup, and drops those with a mark on their way in. */
#include <everykernel.h>

#include <bpf/bpf_endian.h>

#define IPPROTO_UDP 17

__u32 wanted_port; /* set by the check */
__u64 packets_out, bytes_out, packets_in, bytes_in, packets_both;

/* The packet begins with its IPv4 header. */
static __always_inline int payload(struct __sk_buff *skb)
{
	__u8 version_length, protocol;
	__be16 port;

	if (bpf_skb_load_bytes(skb, 0, &version_length, 1) < 0 || version_length != 0x45)
		return -1;
	if (bpf_skb_load_bytes(skb, 9, &protocol, 1) < 0 || protocol != IPPROTO_UDP)
		return -1;
	if (bpf_skb_load_bytes(skb, 22, &port, 2) < 0 || bpf_ntohs(port) != wanted_port)
		return -1;
	return skb->len - 28;
}

SEC("cgroup_skb/egress")
int outgoing(struct __sk_buff *skb)
{
	int size = payload(skb);

	if (size >= 0) {
		__sync_fetch_and_add(&packets_out, 1);
		__sync_fetch_and_add(&bytes_out, size);
	}
	return 1;
}

SEC("cgroup_skb/ingress")
int incoming(struct __sk_buff *skb)
{
	int size = payload(skb);
	__u8 mark = 0;

	if (size < 0)
		return 1;
	__sync_fetch_and_add(&packets_in, 1);
	__sync_fetch_and_add(&bytes_in, size);
	bpf_skb_load_bytes(skb, 28, &mark, 1);
	return mark != '#';
}

SEC("cgroup/skb")
int both_ways(struct __sk_buff *skb)
{
	if (payload(skb) >= 0)
		__sync_fetch_and_add(&packets_both, 1);
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
