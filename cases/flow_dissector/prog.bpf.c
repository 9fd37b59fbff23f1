// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Finds protocol and ports of UDP over IPv4 and of nothing else. Needs no relocation. */
#include <everykernel.h>

#include <bpf/bpf_endian.h>

SEC("flow_dissector")
int dissect(struct __sk_buff *skb)
{
	struct bpf_flow_keys *keys = skb->flow_keys;
	__u8 *head = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 start = keys->nhoff;

	EK_HIT();
	if (start > 64) /* for the verifier: what may lie beyond 65535 bytes it does not let anybody read */
		return BPF_DROP;
	head += start;
	if (keys->n_proto != bpf_htons(0x0800) || head + 24 > end)
		return BPF_DROP;
	if (head[0] != 0x45 || head[9] != 17)
		return BPF_DROP;
	keys->addr_proto = 0x0800;
	keys->ip_proto = head[9];
	keys->thoff = keys->nhoff + 20;
	__builtin_memcpy(&keys->ipv4_src, head + 12, 4);
	__builtin_memcpy(&keys->ipv4_dst, head + 16, 4);
	__builtin_memcpy(&keys->sport, head + 20, 2);
	__builtin_memcpy(&keys->dport, head + 22, 2);
	return BPF_OK;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
