// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Every kind of field relocation, on fields that move, vanish, are anonymous, are arrays or are bitfields. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define CORE __attribute__((preserve_access_index))

struct list_head { struct list_head *next, *prev; } CORE;
struct qstr { union { struct { unsigned hash, len; }; unsigned long long hash_len; }; const unsigned char *name; } CORE;
struct dentry { struct qstr d_name; struct dentry *d_parent; } CORE;
struct task_struct {
	int pid, tgid;
	char comm[16];
	long state;
	unsigned sched_reset_on_fork : 1;
	unsigned in_execve : 1;
	unsigned no_cgroup_migration : 1;
	struct list_head tasks;
	struct { int gone; } nested;
} CORE;
struct task_struct___new { unsigned __state; } CORE;
struct sk_buff { unsigned len; unsigned char cloned : 1, nohdr : 1, pkt_type : 3, ip_summed : 2; } CORE;
struct bpf_prog_array_item { void *prog; } CORE;
struct bpf_prog_array { int rcu; struct bpf_prog_array_item items[0]; } CORE;
struct kernfs_node { struct kernfs_node *parent; const char *name; } CORE;
struct inode { unsigned long i_ino; unsigned short i_mode; long long i_size; } CORE;
struct no_such_struct { int member; } CORE;

long out;
char text[16];

SEC("raw_tp/sched_switch")
int offsets(void *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct dentry *d = (void *)t;
	struct bpf_prog_array *a = (void *)t;

	out += BPF_CORE_READ(t, pid) + BPF_CORE_READ(t, tgid) + BPF_CORE_READ(d, d_name.len);
	out += (long)BPF_CORE_READ(d, d_name.name) + (long)BPF_CORE_READ(t, tasks.next);
	out += (long)BPF_CORE_READ(a, items[3].prog);
	bpf_core_read_str(text, sizeof(text), &t->comm);
	return 0;
}

SEC("raw_tp/sched_switch")
int guarded(void *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct task_struct___new *n = (void *)t;

	out = bpf_core_field_exists(t->state) ? BPF_CORE_READ(t, state) : BPF_CORE_READ(n, __state);
	out += bpf_core_field_exists(struct kernfs_node, parent) + bpf_core_field_exists(struct no_such_struct, member);
	return 0;
}

SEC("raw_tp/sched_switch")
int poisoned(void *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct no_such_struct *s = (void *)t;

	out = BPF_CORE_READ(t, nested.gone) + BPF_CORE_READ(s, member) + bpf_core_field_size(t->nested);
	return 0;
}

SEC("raw_tp/sched_switch")
int sizes(void *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct sk_buff *skb = (void *)t;

	out = bpf_core_field_size(t->comm) + bpf_core_field_size(t->tasks) + bpf_core_field_size(struct inode, i_mode);
	out += bpf_core_field_offset(t->tasks.prev) + bpf_core_field_offset(struct dentry, d_name.hash_len);
	out += __builtin_preserve_field_info(t->pid, BPF_FIELD_SIGNED) + __builtin_preserve_field_info(skb->len, BPF_FIELD_SIGNED);
	return 0;
}

SEC("raw_tp/sched_switch")
int bitfields(void *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct sk_buff *skb = (void *)t;

	out = BPF_CORE_READ_BITFIELD_PROBED(t, sched_reset_on_fork) + BPF_CORE_READ_BITFIELD_PROBED(t, in_execve);
	out += BPF_CORE_READ_BITFIELD_PROBED(t, no_cgroup_migration) + BPF_CORE_READ_BITFIELD_PROBED(skb, pkt_type);
	out += BPF_CORE_READ_BITFIELD_PROBED(skb, ip_summed);
	return 0;
}

/* Direct accesses: loads and stores are patched in place, their width too. */
SEC("tp_btf/sched_switch")
int direct(void **ctx)
{
	struct task_struct *t = ctx[1];
	struct inode *inode = ctx[2];
	struct sk_buff *skb = ctx[3];

	out = t->pid + t->tgid + inode->i_ino + inode->i_mode + inode->i_size + skb->len;
	out += BPF_CORE_READ_BITFIELD(skb, pkt_type);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
