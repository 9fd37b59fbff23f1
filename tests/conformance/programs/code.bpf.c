// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* How functions call one another, and what loaders have to prepare for it: subprograms, callbacks, tags, exceptions. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define TAG(text) __attribute__((btf_decl_tag(text)))
#define CTX TAG("arg:ctx")
#define NONNULL TAG("arg:nonnull")
#define KPTR __attribute__((btf_type_tag("kptr")))
#define PRIVATE(name) SEC(".data." #name) __hidden __attribute__((aligned(8)))
#define OUTLINE static __attribute__((noinline))

struct task_struct;
struct pair { long one, two; };
struct node { struct bpf_spin_lock lock; long value; };
struct holder { struct task_struct KPTR *task; };

extern void bpf_throw(__u64 cookie) __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, int);
	__type(value, long);
	__uint(max_entries, 4);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, int);
	__type(value, struct holder);
	__uint(max_entries, 4);
} holders SEC(".maps");

int tail(struct __sk_buff *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, 4);
	__uint(max_entries, 2);
	__array(values, int(void *));
} jumps SEC(".maps") = { .values = { [1] = (void *)&tail } };

PRIVATE(locked) struct bpf_spin_lock lock;
PRIVATE(locked) long guarded;
long out;

OUTLINE long depth(long n) { return n * 3 + out; }
OUTLINE long deeper(long n) { return depth(n) + depth(n + out); }
__attribute__((noinline)) long global(long n) { return deeper(n); }
__hidden __attribute__((noinline)) long hidden(long n) { return depth(n); }
__weak __attribute__((noinline)) long weak(long n) { return n + out; }
__attribute__((noinline)) int takes_context(void *ctx CTX) { return bpf_get_stackid(ctx, &counters, 0) < 0; }
__attribute__((noinline)) int takes_event(void *ctx CTX) { return bpf_get_attach_cookie(ctx) != 0; }
__attribute__((noinline)) int takes_pair(struct pair *pair NONNULL) { return pair->one > pair->two; }
__attribute__((noinline)) int takes_maybe(struct pair *pair) { return pair ? pair->one > pair->two : 0; }
__attribute__((noinline)) int unchecked(struct pair *pair) { return pair->one > pair->two; }
OUTLINE int each(void *map, int *key, long *value, void *data) { *(long *)data += *value; return 0; }
OUTLINE int step(unsigned n, void *data) { *(long *)data += n; return 0; }
OUTLINE int expired(void *map, int *key, void *value) { return 0; }

SEC("tc") int calls(void *ctx) { return global(1) + hidden(2) + weak(3) + deeper(4); }
SEC("tc") int tail(struct __sk_buff *ctx) { return ctx->len != 0; }
SEC("tc") int jumps_on(struct __sk_buff *ctx) { bpf_tail_call(ctx, &jumps, 1); return 0; }
SEC("tc") int jumps_after_call(struct __sk_buff *ctx) { out = global(1); bpf_tail_call(ctx, &jumps, 1); return 0; }

SEC("kprobe/do_unlinkat") int gives_context(void *ctx) { return takes_event(ctx); }
SEC("perf_event") int gives_event(void *ctx) { return takes_event(ctx); }
SEC("tp/sched/sched_switch") int gives_record(void *ctx) { return takes_event(ctx); }
SEC("raw_tp/sched_switch") int gives_raw(void *ctx) { return takes_context(ctx); }
SEC("tc") int gives_pair(void *ctx) { struct pair pair = { out, 2 }; return takes_pair(&pair) + takes_maybe(&pair); }
SEC("tc") int gives_unchecked(void *ctx) { struct pair pair = { out, 2 }; return unchecked(&pair); }

SEC("tc")
int each_element(void *ctx)
{
	long sum = 0;

	bpf_for_each_map_elem(&counters, each, &sum, 0);
	return sum != 0;
}

SEC("tc")
int loops(void *ctx)
{
	long sum = 0;

	bpf_loop(10, step, &sum, 0);
	return sum != 0;
}

SEC("tc")
int locks(void *ctx)
{
	bpf_spin_lock(&lock);
	guarded++;
	bpf_spin_unlock(&lock);
	return 0;
}

SEC("tc")
int keeps(void *ctx)
{
	int key = 0;
	struct holder *found = bpf_map_lookup_elem(&holders, &key);

	return found && found->task;
}

__attribute__((noinline)) int caught(__u64 cookie) { return cookie != 0; }

SEC("tc")
TAG("exception_callback:caught")
int throws(struct __sk_buff *ctx)
{
	if (ctx->len > 10000)
		bpf_throw(7);
	return 0;
}

SEC("tc")
TAG("exception_callback:no_such_function")
int throws_to_nowhere(struct __sk_buff *ctx)
{
	if (ctx->len > 10000)
		bpf_throw(7);
	return 0;
}

SEC("tc")
int throws_plainly(struct __sk_buff *ctx)
{
	if (ctx->len > 10000)
		bpf_throw(7);
	return 0;
}

SEC("tc")
int asks_for_address(void *ctx)
{
	return (void *)&bpf_rcu_read_lock != (void *)0;
}

SEC("tc") int spins(void *ctx) { for (;;) out++; return 0; }
SEC("tc") int reads_far(void *ctx) { return *(volatile int *)(ctx + 4096); }
SEC("tc") int uninitialised(void *ctx) { int it; asm volatile("%0 = r7" : "=r"(it)); return it; }

char LICENSE[] SEC("license") = "GPL";
