// SPDX-License-Identifier: Apache-2.0
#include "object.h"
#include <string.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>

#define POISON_MAP 2001000000 /* POISON_LDIMM64_MAP_BASE of libbpf.c: the call that stands for a map left out */
#define POISON_MAPS 1000000
#define INNER 64

static int inner_fds[INNER], inner_count; /* of the object that is open: libbpf leaves them to us */

struct bpf_object *open_object(const struct request *request)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = request->btf);

	return bpf_object__open_file(request->object, &opts);
}

void close_object(struct bpf_object *obj)
{
	bpf_object__close(obj);
	while (inner_count)
		close(inner_fds[--inner_count]);
}

/* libbpf cannot resize an inner map (bpf_map__set_max_entries crashes on one): hand it one of the right size. */
static void size_inner(struct bpf_map *map, const struct bpf_map *inner)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = bpf_map__map_flags(inner), .map_extra = bpf_map__map_extra(inner));
	enum bpf_map_type type = bpf_map__type(inner);
	bool ring = type == BPF_MAP_TYPE_RINGBUF || type == BPF_MAP_TYPE_USER_RINGBUF;
	int fd = bpf_map_create(type, NULL, bpf_map__key_size(inner), bpf_map__value_size(inner),
				ring ? (unsigned int)sysconf(_SC_PAGESIZE) : 1, &opts);

	if (fd >= 0 && inner_count < INNER && !bpf_map__set_inner_map_fd(map, fd))
		inner_fds[inner_count++] = fd;
	else if (fd >= 0)
		close(fd);
}

static void size_map(struct bpf_map *map, const struct request *request)
{
	const struct bpf_map *inner = bpf_map__inner_map(map);

	for (size_t i = 0; i < request->map_count; i++) {
		const struct sizes *sizes = &request->maps[i];

		if (strcmp(sizes->map, bpf_map__name(map)))
			continue;
		if (sizes->max_entries >= 0)
			bpf_map__set_max_entries(map, sizes->max_entries);
		if (sizes->key_size >= 0)
			bpf_map__set_key_size(map, sizes->key_size);
		if (sizes->value_size >= 0)
			bpf_map__set_value_size(map, sizes->value_size);
	}
	if (inner && !bpf_map__max_entries(inner))
		size_inner(map, inner);
}

void prepare_maps(struct bpf_object *obj, const struct request *request, const struct left_out *out)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		size_map(map, request);
		if (!request->pins)
			bpf_map__set_pin_path(map, NULL);
		if (left_out_as(out, bpf_map__name(map)) >= 0)
			bpf_map__set_autocreate(map, false);
	}
}

/* Take every program but the chosen one out of a struct_ops map, as libbpf loads all that such a map holds; return
 * whether the chosen one is in it. */
static bool clear_struct_ops(struct bpf_object *obj, struct bpf_map *map, struct bpf_program *chosen)
{
	struct bpf_program *prog;
	size_t size = 0;
	char *data = bpf_map__initial_value(map, &size);
	bool there = false;

	for (size_t at = 0; data && at + sizeof(void *) <= size; at += sizeof(void *)) {
		struct bpf_program **slot = (struct bpf_program **)(data + at);

		there |= *slot == chosen;
		bpf_object__for_each_program(prog, obj)
			if (prog != chosen && *slot == prog)
				*slot = NULL;
	}
	return there;
}

struct bpf_program *choose(struct bpf_object *obj, int position)
{
	struct bpf_program *prog, *chosen = NULL;
	struct bpf_map *map;
	int at = 0;

	bpf_object__for_each_program(prog, obj) {
		bpf_program__set_autoload(prog, at == position);
		if (at++ == position)
			chosen = prog;
	}
	bpf_object__for_each_map(map, obj)
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			bpf_map__set_autocreate(map, chosen && clear_struct_ops(obj, map, chosen));
	return chosen;
}

int left_out_as(const struct left_out *out, const char *map)
{
	for (int i = 0; i < out->count; i++)
		if (!strcmp(out->maps[i].name, map))
			return i;
	return -1;
}

int refused_for(struct bpf_object *obj, struct bpf_program *prog, const struct left_out *out)
{
	const struct bpf_insn *insns = bpf_program__insns(prog);
	struct bpf_map *map;
	int found = -1;

	for (size_t i = 0; found < 0 && i < bpf_program__insn_cnt(prog); i++) {
		int index = 0, wanted = insns[i].imm - POISON_MAP;

		if (insns[i].code != (BPF_JMP | BPF_CALL) || wanted < 0 || wanted >= POISON_MAPS)
			continue;
		bpf_object__for_each_map(map, obj)
			if (index++ == wanted)
				found = left_out_as(out, bpf_map__name(map));
	}
	bpf_object__for_each_map(map, obj)
		if (found < 0 && bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS && clear_struct_ops(obj, map, prog))
			found = left_out_as(out, bpf_map__name(map));
	return found;
}
