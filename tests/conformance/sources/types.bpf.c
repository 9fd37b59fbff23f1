// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Type and enumerator relocations: present, absent, flavoured, 64 bits wide. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define CORE __attribute__((preserve_access_index))

struct task_struct { int pid; } CORE;
struct task_struct___mine { int pid; } CORE;
struct list_head { struct list_head *next, *prev; } CORE;
struct list_head___other { int next; } CORE;
struct no_such_struct { int member; } CORE;
struct bpf_iter__task___flavour { int x; } CORE;
union kernfs_node_id { unsigned long long id; } CORE;
typedef struct { int counter; } atomic_t;
typedef unsigned long sector_t;
typedef int no_such_t;
enum bpf_map_type___mine { BPF_MAP_TYPE_HASH___mine = 77, BPF_MAP_TYPE_RINGBUF___mine = 78, NO_SUCH___mine = 79 };
enum zone_type { ZONE_NORMAL = 5, ZONE_MOVABLE = 6, NO_ZONE = 7 };
enum no_such_enum { NO_SUCH_VALUE };
enum big { BIG_VALUE = 0x1234567890abcdefULL };
enum bpf_func_id___mine { BPF_FUNC_ringbuf_output___mine = 1, BPF_FUNC_loop___mine = 2, BPF_FUNC_none___mine = 3 };

unsigned long long out;

SEC("raw_tp/sched_switch")
int exists(void *ctx)
{
	out = bpf_core_type_exists(struct task_struct) + bpf_core_type_exists(struct task_struct___mine);
	out += bpf_core_type_exists(struct no_such_struct) + bpf_core_type_exists(union kernfs_node_id);
	out += bpf_core_type_exists(struct bpf_iter__task___flavour) + bpf_core_type_exists(atomic_t);
	out += bpf_core_type_exists(sector_t) + bpf_core_type_exists(no_such_t) + bpf_core_type_exists(enum no_such_enum);
	return 0;
}

SEC("raw_tp/sched_switch")
int sizes(void *ctx)
{
	out = bpf_core_type_size(struct task_struct) + bpf_core_type_size(struct list_head) + bpf_core_type_size(sector_t);
	out += bpf_core_type_size(struct no_such_struct);
	return 0;
}

SEC("raw_tp/sched_switch")
int matches(void *ctx)
{
	out = bpf_core_type_matches(struct task_struct) + bpf_core_type_matches(struct list_head);
	out += bpf_core_type_matches(struct list_head___other) + bpf_core_type_matches(struct no_such_struct);
	out += bpf_core_type_matches(atomic_t) + bpf_core_type_matches(enum zone_type);
	return 0;
}

SEC("raw_tp/sched_switch")
int numbers(void *ctx)
{
	out = bpf_core_type_id_local(struct no_such_struct) + bpf_core_type_id_kernel(struct task_struct);
	return 0;
}

SEC("raw_tp/sched_switch")
int number_missing(void *ctx)
{
	out = bpf_core_type_id_kernel(struct no_such_struct);
	return 0;
}

SEC("raw_tp/sched_switch")
int enumerators(void *ctx)
{
	out = bpf_core_enum_value_exists(enum bpf_map_type___mine, BPF_MAP_TYPE_RINGBUF___mine);
	out += bpf_core_enum_value_exists(enum bpf_map_type___mine, NO_SUCH___mine);
	out += bpf_core_enum_value_exists(enum bpf_func_id___mine, BPF_FUNC_loop___mine);
	out += bpf_core_enum_value_exists(enum bpf_func_id___mine, BPF_FUNC_none___mine);
	out += bpf_core_enum_value_exists(enum no_such_enum, NO_SUCH_VALUE);
	out += bpf_core_enum_value(enum bpf_map_type___mine, BPF_MAP_TYPE_HASH___mine);
	out += bpf_core_enum_value(enum zone_type, ZONE_MOVABLE);
	out += bpf_core_enum_value_exists(enum big, BIG_VALUE);
	return 0;
}

SEC("raw_tp/sched_switch")
int enumerator_missing(void *ctx)
{
	out = bpf_core_enum_value(enum zone_type, NO_ZONE) + bpf_core_enum_value(enum big, BIG_VALUE);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
