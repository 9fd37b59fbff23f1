// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* An offset that no load holds: errno is ERANGE. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct pglist_data { int node_id; } __attribute__((preserve_access_index));
struct bpf_verifier_env { void *bt; } __attribute__((preserve_access_index));

SEC("raw_tp/sys_enter") int first(void *ctx) { return 0; }

SEC("raw_tp/sys_exit") int second(void **ctx)
{
	struct pglist_data *one = ctx[0];
	struct bpf_verifier_env *two = ctx[1];

	return one->node_id + (two->bt != 0);
}

char _license[] SEC("license") = "GPL";
