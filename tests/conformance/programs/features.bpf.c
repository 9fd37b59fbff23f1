// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What needs the object's own BTF in the kernel: timers, lists, iterators, dynptrs, rings read by callbacks. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define CONTAINS(type, member) __attribute__((btf_decl_tag("contains:" #type ":" #member)))
#define PRIVATE(name) SEC(".data." #name) __hidden __attribute__((aligned(8)))

struct bpf_list_head { __u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_list_node { __u64 opaque[3]; } __attribute__((aligned(8)));
struct bpf_iter_num { __u64 opaque[1]; } __attribute__((aligned(8)));

struct element { long value; struct bpf_list_node node; };
struct timed { struct bpf_timer timer; long count; };

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym __weak;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym __weak;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym __weak;
extern void *bpf_obj_new_impl(__u64 type, void *meta) __ksym __weak;
extern void bpf_obj_drop_impl(void *object, void *meta) __ksym __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, int);
	__type(value, struct timed);
	__uint(max_entries, 1);
} timers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, long);
} tasks SEC(".maps");

PRIVATE(list) struct bpf_spin_lock list_lock;
PRIVATE(list) struct bpf_list_head list CONTAINS(element, node);

long out;

static int expired(void *map, int *key, struct timed *value) { value->count++; return 0; }
static long requested(struct bpf_dynptr *request, void *context) { return 0; }

SEC("tc")
int starts_timer(void *ctx)
{
	int key = 0;
	struct timed *timed = bpf_map_lookup_elem(&timers, &key);

	if (!timed)
		return 0;
	bpf_timer_init(&timed->timer, &timers, 1);
	bpf_timer_set_callback(&timed->timer, expired);
	return bpf_timer_start(&timed->timer, 1000000, 0);
}

SEC("tc")
int drains(void *ctx)
{
	return bpf_user_ringbuf_drain(&requests, requested, 0, 0);
}

SEC("tc")
int reserves_dynamically(void *ctx)
{
	struct bpf_dynptr pointer;

	bpf_ringbuf_reserve_dynptr(&events, 16, 0, &pointer);
	bpf_ringbuf_submit_dynptr(&pointer, 0);
	return 0;
}

SEC("tc")
int leaks_reservation(void *ctx)
{
	return bpf_ringbuf_reserve(&events, 8, 0) != 0;
}

SEC("tc")
int iterates(void *ctx)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 10);
	while (bpf_iter_num_next(&it))
		out++;
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("tc")
int allocates(void *ctx)
{
	struct element *element = bpf_obj_new_impl(__builtin_btf_type_id(*(struct element *)0, 0), 0);

	if (element)
		bpf_obj_drop_impl(element, 0);
	return 0;
}

SEC("tc")
int touches_list(void *ctx)
{
	bpf_spin_lock(&list_lock);
	out = list.opaque[0];
	bpf_spin_unlock(&list_lock);
	return 0;
}

SEC("tc")
int locks(void *ctx)
{
	bpf_spin_lock(&list_lock);
	bpf_spin_unlock(&list_lock);
	return 0;
}

SEC("fentry.s/__x64_sys_getpgid")
int remembers(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	long *value = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (value)
		++*value;
	return 0;
}

SEC("fentry.s/__x64_sys_getpgid")
int copies(void *ctx)
{
	char text[8];

	return bpf_copy_from_user(text, sizeof(text), (void *)4096) != 0;
}

SEC("fentry/__x64_sys_getpgid")
int copies_in_atomic_context(void *ctx)
{
	char text[8];

	return bpf_copy_from_user(text, sizeof(text), (void *)4096) != 0;
}

char LICENSE[] SEC("license") = "GPL";
