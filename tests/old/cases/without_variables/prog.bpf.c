// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What Linux 4.14 has, and nothing else: no global variables, no calls of own functions. Counts are in a map. */
#include <linux/bpf.h>
#include <linux/ptrace.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

enum { PID, BY_KPROBE, BY_KRETPROBE, BY_TRACEPOINT, BY_UPROBE, BY_XDP, BY_CGROUP, BY_CLASSIFIER, READ, SLOTS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

static __always_inline void count(__u32 slot)
{
	__u64 *found = bpf_map_lookup_elem(&counts, &slot);

	if (found)
		__sync_fetch_and_add(found, 1);
}

static __always_inline int mine(void)
{
	__u32 slot = PID;
	__u64 *pid = bpf_map_lookup_elem(&counts, &slot);

	return pid && *pid && *pid == bpf_get_current_pid_tgid() >> 32;
}

SEC("kprobe/vfs_read")
int on_entry(struct pt_regs *ctx)
{
	__u32 slot = READ;
	__u64 *first = bpf_map_lookup_elem(&counts, &slot), bytes = 0;

	if (!mine() || PT_REGS_PARM3(ctx) != 4321)
		return 0;
	count(BY_KPROBE);
	/* of v5.5: loaders call bpf_probe_read() where the kernel has no other */
	if (first && !bpf_probe_read_user(&bytes, sizeof(bytes), (void *)PT_REGS_PARM2(ctx)))
		*first = bytes;
	return 0;
}

SEC("kretprobe/vfs_read")
int on_exit(struct pt_regs *ctx)
{
	if (mine() && PT_REGS_RC(ctx) == 22)
		count(BY_KRETPROBE);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(void *ctx)
{
	__u32 word = 0x1234;

	if (!mine())
		return 0;
	count(BY_TRACEPOINT);
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &word, sizeof(word));
	return 0;
}

SEC("uprobe/libc.so.6:labs")
int on_labs(struct pt_regs *ctx)
{
	if (mine())
		count(BY_UPROBE);
	return 0;
}

SEC("xdp")
int on_packet(struct xdp_md *ctx)
{
	count(BY_XDP);
	return XDP_PASS;
}

SEC("cgroup_skb/egress")
int outgoing(struct __sk_buff *skb)
{
	count(BY_CGROUP);
	return 1;
}

SEC("tc")
int on_ingress(struct __sk_buff *skb)
{
	count(BY_CLASSIFIER);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
