// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Functions, attach targets and types of a kernel module, nf_conntrack. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct nf_conn { unsigned long status; };
struct sk_buff;
struct nf_conn_help { void *helper; } __attribute__((preserve_access_index));

struct bpf_ct_opts {
	__s32 netns_id, error;
	__u8 l4proto, dir, reserved[2];
};

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple__sz,
					 struct bpf_ct_opts *opts, __u32 opts__sz) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *ct) __ksym __weak;

long out;

static __always_inline struct nf_conn *look_up(struct __sk_buff *skb)
{
	struct bpf_ct_opts opts = { .netns_id = -1, .l4proto = 6 };
	struct bpf_sock_tuple tuple = {};

	return bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
}

SEC("tc")
int looks_up(struct __sk_buff *skb)
{
	struct nf_conn *ct = look_up(skb);

	if (ct)
		bpf_ct_release(ct);
	return 0;
}

SEC("tc")
int leaks(struct __sk_buff *skb)
{
	return look_up(skb) != NULL;
}

SEC("raw_tp/sched_switch")
int from_a_tracepoint(void *ctx)
{
	bpf_ct_release(ctx);
	return 0;
}

SEC("raw_tp/sched_switch")
int reads_a_type(void *ctx)
{
	struct nf_conn_help *help = (void *)bpf_get_current_task();

	out = (long)BPF_CORE_READ(help, helper);
	return 0;
}

SEC("fentry/nf_conntrack_in")
int BPF_PROG(enters, struct sk_buff *skb)
{
	out = (long)skb;
	return 0;
}

SEC("fexit/nf_conntrack_in")
int BPF_PROG(leaves, struct sk_buff *skb, void *state, unsigned int verdict)
{
	out = verdict;
	return 0;
}

SEC("fmod_ret/nf_conntrack_in")
int BPF_PROG(changes, struct sk_buff *skb)
{
	return 0;
}

SEC("fentry/nf_conntrack_no_such")
int BPF_PROG(enters_nothing)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
