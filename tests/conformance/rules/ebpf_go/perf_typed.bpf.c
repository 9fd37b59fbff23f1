// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A perf event array whose value has a type, and one without any sizes. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event { long a, b; };
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__type(value, struct event);
} typed SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
} bare SEC(".maps");
SEC("raw_tp/sys_enter") int writes(void *ctx)
{
	struct event e = {};
	bpf_perf_event_output(ctx, &typed, BPF_F_CURRENT_CPU, &e, sizeof(e));
	return 0;
}
SEC("raw_tp/sys_enter") int writes_bare(void *ctx)
{
	struct event e = {};
	bpf_perf_event_output(ctx, &bare, BPF_F_CURRENT_CPU, &e, sizeof(e));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
