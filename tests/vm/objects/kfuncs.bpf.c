// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Kernel functions by their name and prototype: of vmlinux, of the module nf_conntrack, and of neither. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

struct task_struct {
	int pid;
};
struct nf_conn {
	unsigned long status;
};
struct cgroup; /* declared and no more */
struct bpf_ct_opts {
	int netns_id;
	int error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern struct task_struct *bpf_task_from_pid___flavour(int pid) __ksym __weak;
extern void bpf_task_release___two(struct task_struct *p, int more) __ksym;
extern struct task_struct *bpf_task_from_pid___pointer(void *pid) __ksym;
extern int bpf_task_from_pid___number(int pid) __ksym;
extern struct cgroup *bpf_cgroup_from_id(__u64 id) __ksym;
extern void bpf_task_release___old(struct task_struct *p, int more) __ksym __weak;
extern void no_such_function(int argument) __ksym __weak;
extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple__sz,
					 struct bpf_ct_opts *options, __u32 options__sz) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *connection) __ksym __weak;
extern const void symbol_that_a_test_renames __ksym;

__u64 where;

SEC("syscall")
int flavours(void *ctx)
{
	struct task_struct *task;

	if (no_such_function)
		no_such_function(1);
	task = bpf_task_from_pid___flavour ? bpf_task_from_pid___flavour(1) : bpf_task_from_pid(1);
	if (!task)
		return 1;
	if (bpf_task_release___old)
		bpf_task_release___old(task, 1);
	else
		bpf_task_release(task);
	return bpf_task_release___old ? 2 : 42;
}

SEC("?syscall")
int unguarded(void *ctx)
{
	no_such_function(1);
	return 0;
}

SEC("?syscall")
int unguarded_old(void *ctx)
{
	bpf_task_release___old(0, 1);
	return 0;
}

SEC("syscall")
int other_number(void *ctx)
{
	bpf_task_release___two(0, 1);
	return 0;
}

SEC("syscall")
int other_parameter(void *ctx)
{
	return !bpf_task_from_pid___pointer(0);
}

SEC("syscall")
int other_result(void *ctx)
{
	return bpf_task_from_pid___number(1);
}

SEC("syscall")
int only_declared(void *ctx)
{
	return !bpf_cgroup_from_id(1);
}

SEC("tc")
int of_module(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_ct_opts options = { .netns_id = -1, .l4proto = 6 };
	struct nf_conn *connection;

	if (!bpf_skb_ct_lookup)
		return 1;
	connection = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &options, sizeof(options));
	if (connection)
		bpf_ct_release(connection);
	return options.error == -2 ? 2 : 3;
}

SEC("syscall")
int symbol(void *ctx)
{
	where = (__u64)&symbol_that_a_test_renames;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
