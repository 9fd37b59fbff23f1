/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Maps as tools in Go declare them: with a value type that no such map has, for the sake of a generator. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event {
	unsigned int pid;
	char name[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(value, struct event);
} perf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct event);
} ring SEC(".maps");

SEC("socket")
int nothing(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
