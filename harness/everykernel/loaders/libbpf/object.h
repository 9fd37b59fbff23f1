/* SPDX-License-Identifier: Apache-2.0 */
/* An object as the request wants it opened: its sizes set, nothing pinned, what the kernel refuses left out. */
#pragma once
#include <stdbool.h>
#include <bpf/libbpf.h>
#include "request.h"

#define LEFT_OUT 256

/* Maps that the kernel refused. Shared by all processes of the adapter. */
struct left_out {
	int count;
	struct {
		char name[512];
		int err;
		char words[1024]; /* what libbpf said of it */
	} maps[LEFT_OUT];
};

struct bpf_object *open_object(const struct request *request);
void close_object(struct bpf_object *obj);

/* Set sizes and take pins off; leave out what the kernel refused. */
void prepare_maps(struct bpf_object *obj, const struct request *request, const struct left_out *out);

/* Have only the program at this position loaded, and only the struct_ops maps that hold it; NULL past the last. */
struct bpf_program *choose(struct bpf_object *obj, int position);

/* Return which of the maps that are left out this one is, -1 for none. */
int left_out_as(const struct left_out *out, const char *map);

/* Return which of the maps that are left out the program uses first, -1 for none. */
int refused_for(struct bpf_object *obj, struct bpf_program *prog, const struct left_out *out);
