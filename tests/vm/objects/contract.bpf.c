// SPDX-License-Identifier: GPL-2.0
/* What a loader contract decides: programs that load only with the right values, sizes and targets. */
#include <everykernel.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct {
	int no_such_member_ever;
} __attribute__((preserve_access_index));

extern int CONFIG_HZ __kconfig __weak;
extern _Bool CONFIG_BPF_SYSCALL __kconfig __weak;

const volatile _Bool broken;
const volatile int limit = 3;
const volatile char word[8] = "none";
int count = 1;
long seen;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 0);
	__type(key, int);
	__type(value, long);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} wide SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

/* Reaches what no kernel can resolve, unless `broken` stays 0 and the verifier sees so. */
SEC("socket")
int guarded(void *ctx)
{
	if (broken)
		return ((struct task_struct *)ctx)->no_such_member_ever;
	return limit + count + word[0];
}

SEC("socket")
int settings(void *ctx)
{
	return CONFIG_HZ * 2 + CONFIG_BPF_SYSCALL;
}

SEC("socket")
int refused(void *ctx)
{
	return *(volatile int *)0;
}

/* Eight bytes into a value that is declared with four. */
SEC("socket")
int stores(void *ctx)
{
	int key = 0;
	long *value = bpf_map_lookup_elem(&wide, &key);

	if (value)
		*value = 7;
	return !!value;
}

/* Uses a map, unless `limit` is what the verifier sees. */
SEC("socket")
int spared(void *ctx)
{
	if (limit == 40)
		return 9;
	return !!bpf_map_lookup_elem(&counts, &count);
}

SEC("kprobe/no_such_function_ever")
int on_open(void *ctx)
{
	seen++;
	bpf_map_update_elem(&counts, &count, &seen, BPF_ANY);
	bpf_ringbuf_output(&ring, &count, 4, 0);
	return 0;
}

/* bpf_loop() came with Linux commit e6f2dd0f8067 ("bpf: Add bpf_loop helper") (in v5.17). */
static int step(__u32 index, void *ctx)
{
	return 0;
}

SEC("socket")
int by_helper(void *ctx)
{
	bpf_loop(3, step, (void *)0, 0);
	return 17;
}

SEC("socket")
int by_hand(void *ctx)
{
	return 5;
}
