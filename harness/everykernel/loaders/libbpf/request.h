/* SPDX-License-Identifier: Apache-2.0 */
/* What an adapter is asked: REQUEST.json of the adapter contract, version 1. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Sizes that the tool would set on a map; -1 where it leaves one alone. */
struct sizes {
	char *map;
	long long max_entries, key_size, value_size;
};

struct request {
	char *object; /* path */
	char *btf;    /* path of types for CO-RE, or NULL: the kernel's own */
	char **programs;
	size_t program_count;
	bool all; /* programs is null */
	struct sizes *maps;
	size_t map_count;
	bool pins;
};

/* Read a request; return NULL, or what is wrong with it. */
const char *read_request(const char *path, struct request *request);

/* Whether a program of this name is to be tried. */
bool is_wanted(const struct request *request, const char *program);
