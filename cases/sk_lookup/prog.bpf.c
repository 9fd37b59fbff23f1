// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Leads connections to ports 7100-7199 to the socket in the map. Needs no relocation. */
#include <everykernel.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

__u32 looked_up;

SEC("sk_lookup")
int to_listener(struct bpf_sk_lookup *ctx)
{
	__u32 zero = 0;
	struct bpf_sock *sk;
	long error;

	if (ctx->local_port < 7100 || ctx->local_port > 7199)
		return SK_PASS;
	sk = bpf_map_lookup_elem(&sockets, &zero);
	if (!sk)
		return SK_DROP;
	looked_up = ctx->local_port;
	error = bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	EK_ASSERT(!error);
	EK_HIT();
	return error ? SK_DROP : SK_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
