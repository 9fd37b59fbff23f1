// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What a tracing tool is made of: each guest's agent loads it once before the guest is saved (guest/rehearsal.py). It needs no
 * kernel's headers and reads no registers, so that one object serves every architecture of a byte order.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define NAME 16

struct ns_common {
	unsigned int inum;
} __attribute__((preserve_access_index));

struct pid_namespace {
	struct ns_common ns;
} __attribute__((preserve_access_index));

struct nsproxy {
	struct pid_namespace *pid_ns_for_children;
} __attribute__((preserve_access_index));

struct task_struct {
	int pid, tgid;
	char comm[NAME];
	struct task_struct *real_parent;
	struct nsproxy *nsproxy;
} __attribute__((preserve_access_index));

struct task_struct___old {
	long state;
} __attribute__((preserve_access_index));

enum bpf_func_id___known { BPF_FUNC_ringbuf_output___known = 1 };

struct trace_entry {
	__u16 type;
	__u8 flags, preempt_count;
	int pid;
};

struct trace_event_raw_sched_process_exec {
	struct trace_entry ent;
	__u32 __data_loc_filename;
	int pid, old_pid;
	char __data[];
} __attribute__((preserve_access_index));

struct key {
	__u32 pid;
	char comm[NAME];
};

struct value {
	__u64 count, since;
	struct key parent;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct key);
	__type(value, struct value);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct value);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

const volatile __u32 target_pid = 0;
const volatile char wanted[NAME] = "";
__u64 total = 0;
__u64 limit = 100;

extern int LINUX_KERNEL_VERSION __kconfig;

static __attribute__((noinline)) int count(void *ctx, __u64 id)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___old *old = (void *)task;
	struct key key = {.pid = id >> 32};
	struct value empty = {.since = bpf_ktime_get_ns()}, *value;
	__u32 zero = 0;

	if (target_pid && target_pid != key.pid)
		return 0;
	bpf_get_current_comm(key.comm, sizeof key.comm);
	if (bpf_core_field_exists(old->state))
		empty.count = BPF_CORE_READ(old, state);
	if (bpf_core_type_exists(struct nsproxy))
		empty.count += BPF_CORE_READ(task, nsproxy, pid_ns_for_children, ns.inum);
	empty.parent.pid = BPF_CORE_READ(task, real_parent, tgid);
	BPF_CORE_READ_STR_INTO(&empty.parent.comm, task, real_parent, comm);
	if (bpf_core_enum_value_exists(enum bpf_func_id___known, BPF_FUNC_ringbuf_output___known))
		total++;
	bpf_map_update_elem(&seen, &key, &empty, BPF_NOEXIST);
	value = bpf_map_lookup_elem(&seen, &key);
	if (!value)
		return 0;
	for (int i = 0; i < NAME; i++)
		if (wanted[i] && wanted[i] != key.comm[i])
			return 0;
	__sync_fetch_and_add(&value->count, 1);
	value = bpf_map_lookup_elem(&scratch, &zero);
	if (value && LINUX_KERNEL_VERSION > 0)
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, value, sizeof *value);
	return 0;
}

SEC("tracepoint/sched/sched_process_exec")
int on_exec(struct trace_event_raw_sched_process_exec *ctx)
{
	if (total + ctx->old_pid > limit || ctx->__data_loc_filename >> 16 > 255)
		return 0;
	return count(ctx, (__u64)ctx->pid << 32);
}

SEC("kprobe/do_exit")
int on_exit(void *ctx)
{
	return count(ctx, bpf_get_current_pid_tgid());
}

SEC("raw_tp/sys_enter")
int on_call(struct bpf_raw_tracepoint_args *ctx)
{
	return ctx->args[1] == 1 ? count(ctx, bpf_get_current_pid_tgid()) : 0;
}

SEC("fentry/bpf_fentry_test1")
int on_entry(__u64 *ctx)
{
	return count(ctx, ctx[0] << 32);
}

SEC("fentry/everykernel_no_such_function") /* looked for in every module's BTF too */
int on_nothing(__u64 *ctx)
{
	return 0;
}

SEC("xdp")
int on_packet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u8 *byte = data;

	return byte + 1 > (__u8 *)end || !*byte ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
