// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A perf event array whose key is too large: it is not even asked for. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 8);
	__uint(value_size, 4);
} wide SEC(".maps");
SEC("raw_tp/sys_enter") int writes(void *ctx)
{
	long e = 0;
	bpf_perf_event_output(ctx, &wide, BPF_F_CURRENT_CPU, &e, sizeof(e));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
