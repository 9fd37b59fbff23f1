// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Drains what user space sends. Needs no relocation. */
#include <everykernel.h>

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} commands SEC(".maps");

struct command {
	__u64 number;
	__u32 factor;
};

__u64 sum;
__u32 order_kept = 1;
__u64 last;
__s64 drained;

static long on_command(struct bpf_dynptr *sample, void *context)
{
	struct command command;

	if (bpf_dynptr_read(&command, sizeof(command), sample, 0, 0))
		return 1; /* no more: it is not one */
	if (command.number != last + 1)
		order_kept = 0;
	last = command.number;
	sum += command.number * command.factor;
	return 0;
}

SEC("xdp")
int drain(struct xdp_md *ctx)
{
	drained = bpf_user_ringbuf_drain(&commands, on_command, NULL, 0);
	return drained;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
