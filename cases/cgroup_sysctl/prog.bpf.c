// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Counts the uses of one sysctl, and forbids to write the value 77 to it. */
#include <everykernel.h>

static const char wanted[] = "net/ipv4/ip_default_ttl";

__u64 reads, writes;
char written[8];

SEC("cgroup/sysctl")
int on_sysctl(struct bpf_sysctl *ctx)
{
	char name[sizeof(wanted)] = {};
	__u32 i;

	if (bpf_sysctl_get_name(ctx, name, sizeof(name), 0) < 0)
		return 1;
	for (i = 0; i < sizeof(wanted); i++)
		if (name[i] != wanted[i])
			return 1;
	if (!ctx->write) {
		__sync_fetch_and_add(&reads, 1);
		return 1;
	}
	__sync_fetch_and_add(&writes, 1);
	EK_ASSERT(bpf_sysctl_get_new_value(ctx, written, sizeof(written)) > 0);
	return written[0] != '7' || written[1] != '7';
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
