// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A ring buffer whose size is no power of two. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 5000);
} ring SEC(".maps");
SEC("raw_tp/sys_enter") int writes(void *ctx)
{
	long e = 0;
	bpf_ringbuf_output(&ring, &e, sizeof(e), 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
