// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What the loader has to do besides CO-RE: externs, callbacks, static initialisers, custom sections, odd programs. */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool CONFIG_BPF_SYSCALL __kconfig;
extern int CONFIG_HZ __kconfig;
extern enum libbpf_tristate CONFIG_NO_SUCH_OPTION __kconfig __weak;
extern const char CONFIG_DEFAULT_HOSTNAME[16] __kconfig __weak;

extern const void vfs_read __ksym;
extern const void no_such_symbol __ksym __weak;

__u64 reader, missing = 7;
int version, hz, nothing = 5;
bool bpf_syscall;
char hostname[16];
const volatile int scale = 3;
int doubled SEC(".data.twice") = 21;
const char greeting[] SEC(".rodata.words") = "hello";
static volatile int hidden = 4;
char first_letter;

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} one SEC(".maps"), two SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { [0] = &two, [2] = &one },
};

int callee(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} calls SEC(".maps") = {
	.values = { [1] = (void *)&callee },
};

struct pair {
	__u32 a;
	__u16 b[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, struct pair);
	__type(value, struct pair);
} pairs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 8);
} untyped SEC(".maps");

static __noinline int add(int a, int b)
{
	return a + b * hidden;
}

__noinline int scaled(int value)
{
	return add(value, scale);
}

SEC("socket")
int callee(struct __sk_buff *skb)
{
	return 1234;
}

SEC("socket")
int caller(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &calls, 1);
	return 1;
}

SEC("socket")
int read_externs(struct __sk_buff *skb)
{
	reader = (__u64)&vfs_read;
	missing = (__u64)&no_such_symbol;
	version = LINUX_KERNEL_VERSION;
	bpf_syscall = CONFIG_BPF_SYSCALL;
	hz = CONFIG_HZ;
	nothing = CONFIG_NO_SUCH_OPTION;
	__builtin_memcpy(hostname, (void *)CONFIG_DEFAULT_HOSTNAME, sizeof(hostname));
	first_letter = greeting[0];
	doubled *= 2;
	return scaled(100);
}

SEC("socket")
int use_inner(struct __sk_buff *skb)
{
	/* Slot 0: 32-bit kernels put pointers 4 bytes apart and look for them 8 bytes apart (fd_array_map_update_elem). */
	__u32 zero = 0, slot = 0;
	void *map = bpf_map_lookup_elem(&outer, &slot);
	__u64 *value;

	if (!map)
		return 1;
	value = bpf_map_lookup_elem(map, &zero);
	if (!value)
		return 2;
	*value = 42;
	return 3;
}

SEC("?socket")
int optional(struct __sk_buff *skb)
{
	return *(volatile int *)8;
}

SEC("kprobe")
int no_target(void *ctx)
{
	return 0;
}

SEC("fentry")
int no_btf_target(void *ctx)
{
	return 0;
}

SEC("fentry/no_such_function")
int gone(void *ctx)
{
	return 0;
}

SEC("kprobe/no_such_function")
int gone_probe(void *ctx)
{
	return 0;
}

SEC("tracepoint/sched/no_such_event")
int gone_event(void *ctx)
{
	return 0;
}

SEC("raw_tp/no_such_event")
int gone_raw(void *ctx)
{
	return 0;
}

SEC("ksyscall/getpgid")
int on_getpgid(void *ctx)
{
	return 0;
}

SEC("lsm/file_open")
int on_open(void *ctx)
{
	return 0;
}

SEC("nonsense/here")
int unknown(void *ctx)
{
	return 0;
}

SEC("socket")
int broken(struct __sk_buff *skb)
{
	int *pointer = (void *)(long)skb->len;

	return *pointer;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
