// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The context of a tracepoint is laid out by the target's compiler: prev_state is a long, of 4 bytes on 32-bit targets, and
 * all behind it moves. Needs no relocation; the check reads the same layout in tracefs.
 */
#include <everykernel.h>

/* /sys/kernel/tracing/events/sched/sched_switch/format */
struct sched_switch {
	__u64 common;
	char prev_comm[16];
	__s32 prev_pid;
	__s32 prev_prio;
	ek_long prev_state;
	char next_comm[16];
	__s32 next_pid;
	__s32 next_prio;
};

const volatile __u32 offset_of_prev_state = __builtin_offsetof(struct sched_switch, prev_state);
const volatile __u32 offset_of_next_comm = __builtin_offsetof(struct sched_switch, next_comm);
const volatile __u32 offset_of_next_prio = __builtin_offsetof(struct sched_switch, next_prio);

__s32 thread; /* set by the check */
char out_comm[16], in_comm[16];
__s32 out_prio, in_prio;
__s64 out_states; /* all that were seen */
__u32 outs, ins;

SEC("tracepoint/sched/sched_switch")
int on_switch(struct sched_switch *ctx)
{
	if (!thread)
		return 0;
	if (ctx->prev_pid == thread && (ctx->prev_state & 0xff)) { /* not preempted: asleep */
		out_states |= ctx->prev_state;
		out_prio = ctx->prev_prio;
		__builtin_memcpy(out_comm, ctx->prev_comm, sizeof(out_comm));
		outs++;
	}
	if (ctx->next_pid == thread) {
		in_prio = ctx->next_prio;
		__builtin_memcpy(in_comm, ctx->next_comm, sizeof(in_comm));
		ins++;
	}
	return 0;
}

char opened[32];

SEC("tracepoint/syscalls/sys_enter_openat")
int on_openat(struct ek_sys_enter *ctx)
{
	if (EK_MINE())
		EK_ASSERT(bpf_probe_read_user_str(opened, sizeof(opened), (void *)(unsigned long)ctx->args[1]) > 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
