// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Both ways into a ring buffer, and a reservation that is given back. Needs no relocation. */
#include <everykernel.h>

struct event {
	__u64 sequence;
	__s64 argument;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct event unused_event; /* keeps the type in the object's BTF: the check decodes samples by its name */

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(struct ek_sys_enter *ctx)
{
	struct event copied, *event;
	__u64 sequence;

	if (!EK_MINE())
		return 0;
	sequence = ek_hits;
	EK_HIT();
	switch (sequence % 3) {
	case 0:
		event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
		if (!event) {
			EK_FAIL();
			return 0;
		}
		event->sequence = sequence;
		event->argument = (ek_long)ctx->args[0];
		bpf_ringbuf_submit(event, 0);
		break;
	case 1:
		copied.sequence = sequence;
		copied.argument = (ek_long)ctx->args[0];
		EK_ASSERT(bpf_ringbuf_output(&events, &copied, sizeof(copied), 0) == 0);
		break;
	default:
		event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
		if (event)
			bpf_ringbuf_discard(event, 0);
		else
			EK_FAIL();
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
