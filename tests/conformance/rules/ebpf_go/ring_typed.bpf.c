// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A ring buffer whose value has a type. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event { long a, b; };
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct event);
} ring SEC(".maps");
SEC("raw_tp/sys_enter") int writes(void *ctx)
{
	struct event e = {};
	bpf_ringbuf_output(&ring, &e, sizeof(e), 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
