/* SPDX-License-Identifier: Apache-2.0 */
/* What libbpf prints while it works: all that it tells of why. */
#pragma once
#include <stdbool.h>

struct words {
	bool kernel_refused;   /* a program, by the kernel */
	bool slot_failed;      /* a program that was not loaded should have gone into a prog_array */
	char refused_map[512]; /* the map that the kernel refused, "" for none */
	char *log;             /* the verifier's, of the last program that it refused; NULL for none */
};

extern struct words words;

void words_listen(void);             /* from now on */
void words_begin(void);              /* forget what was said */
const char *words_last(void);        /* the last warnings in one line */
const char *words_relocations(void); /* events, whole lines, of what was relocated */
