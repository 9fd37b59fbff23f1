/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A ring buffer in which new records take the place of old ones that nobody read: records of three sizes in turn. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define OVERWRITES (1 << 19) /* BPF_F_RB_OVERWRITE: newer than the oldest headers that this is compiled with */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__uint(map_flags, OVERWRITES);
} events SEC(".maps");

__u64 number;

static int put(__u32 size)
{
	__u64 record[5] = { number++, 0x3ffffff0, 0x3ffffff0, 0x3ffffff0, 0x3ffffff0 };

	return bpf_ringbuf_output(&events, record, size, 0);
}

SEC("socket")
int three(void *ctx)
{
	return put(8) | put(24) | put(40);
}

char LICENSE[] SEC("license") = "GPL";
