// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What libbpf refuses: values that conflict between candidates, offsets that no instruction holds. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define CORE __attribute__((preserve_access_index))

struct irq_info { unsigned irq; } CORE; /* two structs of this name in the kernel, irq at different offsets */
struct srcu_struct { unsigned long srcu_idx; } CORE; /* past 32767 bytes up to 5.10 */
struct pglist_data { int node_id; } CORE; /* past 32767 bytes from 6.1 on */
struct bpf_verifier_env { void *bt; } CORE; /* past 32767 bytes in 7.3 */
struct saved_cmdlines_buffer { unsigned cmdline_num; } CORE; /* past 32767 bytes from 6.12 on, also big-endian */
struct elf_thread_core_info { int notes[0]; } CORE; /* one for programs of 64 bits, one for those of 32 */
struct task_struct { int pid; } CORE;

long out;

SEC("raw_tp/sched_switch")
int ambiguous(void *ctx)
{
	struct irq_info *info = (void *)bpf_get_current_task();

	out = BPF_CORE_READ(info, irq);
	return 0;
}

SEC("raw_tp/sched_switch")
int ambiguous_flexible(void *ctx)
{
	out = bpf_core_field_offset(struct elf_thread_core_info, notes);
	return 0;
}

SEC("tp_btf/sched_switch")
int far(void **ctx)
{
	struct srcu_struct *s = ctx[1];
	struct pglist_data *p = ctx[2];
	struct bpf_verifier_env *e = ctx[3];
	struct saved_cmdlines_buffer *b = ctx[4];

	out = s->srcu_idx + p->node_id + (long)e->bt + b->cmdline_num;
	return 0;
}

SEC("raw_tp/sched_switch")
int unharmed(void *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();

	out = BPF_CORE_READ(t, pid);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
