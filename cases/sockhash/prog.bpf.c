// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Sockets by the mark with which a message begins: it is received there, past the connection. Needs no relocation. */
#include <everykernel.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 4);
	__type(key, char[4]);
	__type(value, __u64);
} sockets SEC(".maps");

SEC("sk_msg")
int on_message(struct sk_msg_md *ctx)
{
	char *data = ctx->data, *end = ctx->data_end, mark[4];

	EK_HIT();
	if (data + 4 > end)
		return SK_PASS;
	__builtin_memcpy(mark, data, 4);
	return bpf_msg_redirect_hash(ctx, &sockets, mark, BPF_F_INGRESS);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
