// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Option 7 of level 0xe4 holds one byte, which the kernel knows nothing of; option 8 may not be set. */
#include <everykernel.h>

#define LEVEL 0xe4

__u8 kept;

SEC("cgroup/setsockopt")
int on_set(struct bpf_sockopt *ctx)
{
	__u8 *value = ctx->optval, *end = ctx->optval_end;

	if (ctx->level != LEVEL)
		return 1;
	if (ctx->optname != 7 || value + 1 > end)
		return 0;
	kept = *value;
	ctx->optlen = -1; /* the kernel's own code is passed by */
	EK_HIT();
	return 1;
}

SEC("cgroup/getsockopt")
int on_get(struct bpf_sockopt *ctx)
{
	__u8 *value = ctx->optval, *end = ctx->optval_end;

	if (ctx->level != LEVEL)
		return 1;
	if (value + 1 > end)
		return 0;
	*value = kept + 1;
	ctx->optlen = 1;
	asm volatile("" ::: "memory"); /* or both fields become one store, which the verifier refuses */
	ctx->retval = 0;
	EK_HIT();
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
