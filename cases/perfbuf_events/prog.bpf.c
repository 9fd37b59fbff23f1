// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Events through a perf event array, one buffer a processor. Needs no relocation. */
#include <everykernel.h>

struct event {
	__u64 sequence;
	__s64 argument;
	__u32 cpu;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

struct event unused_event; /* keeps the type in the object's BTF: the check decodes samples by its name */

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(struct ek_sys_enter *ctx)
{
	struct event event = {};

	if (!EK_MINE())
		return 0;
	event.sequence = ek_hits;
	event.argument = (ek_long)ctx->args[0];
	event.cpu = bpf_get_smp_processor_id();
	EK_HIT();
	EK_ASSERT(bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event)) == 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
