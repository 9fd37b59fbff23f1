// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Configuration, kernel symbols and kernel functions: there, missing, weak and with types that do not fit. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define EXISTS(symbol) ((void *)&(symbol) != (void *)0)

struct task_struct;

extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool LINUX_HAS_BPF_COOKIE __kconfig;
extern _Bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;
extern _Bool CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_VIRTIO_CONSOLE __kconfig;
extern char CONFIG_NET __kconfig;
extern int CONFIG_HZ __kconfig;
extern long CONFIG_NO_SUCH __kconfig __weak;
extern char CONFIG_DEFAULT_HOSTNAME[8] __kconfig;
extern char CONFIG_CC_VERSION_TEXT[64] __kconfig __weak;

extern const void init_task __ksym;
extern const void no_such_symbol __ksym __weak;
extern const int no_such_variable __ksym __weak;

extern struct task_struct *bpf_task_from_pid(int pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *p) __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym __weak;
extern void no_such_function(int argument) __ksym __weak;
extern void tcp_reno_cong_avoid(void *sk, unsigned ack, unsigned acked) __ksym __weak;

long out;

SEC("raw_tp/sched_switch")
int configuration(void *ctx)
{
	out = LINUX_KERNEL_VERSION + LINUX_HAS_BPF_COOKIE + LINUX_HAS_SYSCALL_WRAPPER + CONFIG_BPF_SYSCALL + CONFIG_HZ;
	out += CONFIG_VIRTIO_CONSOLE + (CONFIG_NET == 'y') + CONFIG_NO_SUCH + CONFIG_DEFAULT_HOSTNAME[1];
	out += CONFIG_CC_VERSION_TEXT[0];
	return 0;
}

SEC("raw_tp/sched_switch")
int gated(void *ctx)
{
	if (CONFIG_NO_SUCH)
		bpf_loop(1, ctx, ctx, 1 << 30);
	return 0;
}

SEC("raw_tp/sched_switch")
int symbols(void *ctx)
{
	out = (long)&init_task + (long)&no_such_symbol;
	if (&no_such_variable)
		out++;
	return 0;
}

SEC("tp_btf/task_newtask")
int functions(void *ctx)
{
	if (EXISTS(bpf_task_from_pid)) {
		struct task_struct *task = bpf_task_from_pid(1);

		if (task)
			bpf_task_release(task);
	}
	return 0;
}

SEC("tp_btf/task_newtask")
int functions_unasked(void *ctx)
{
	bpf_rcu_read_lock();
	out++;
	bpf_rcu_read_unlock();
	return 0;
}

SEC("tp_btf/task_newtask")
int functions_missing(void *ctx)
{
	if (EXISTS(no_such_function))
		no_such_function(1);
	return 0;
}

SEC("tp_btf/task_newtask")
int functions_reached(void *ctx)
{
	no_such_function(1);
	return 0;
}

SEC("tp_btf/task_newtask")
int functions_not_for_us(void *ctx)
{
	tcp_reno_cong_avoid((void *)0, 1, 2);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
