// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Forbids /dev/zero, and counts what is opened besides. */
#include <everykernel.h>

__u64 allowed;

SEC("cgroup/dev")
int on_device(struct bpf_cgroup_dev_ctx *ctx)
{
	if (ctx->major == 1 && ctx->minor == 5) {
		EK_ASSERT((ctx->access_type & 0xffff) == BPF_DEVCG_DEV_CHAR);
		EK_ASSERT(ctx->access_type >> 16 == BPF_DEVCG_ACC_READ);
		EK_HIT();
		return 0;
	}
	__sync_fetch_and_add(&allowed, 1);
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
