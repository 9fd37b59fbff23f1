// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "words.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/libbpf.h>

#define LINES 4
#define WIDTH 512
#define PREFIX "libbpf: "

struct words words;
static char lines[LINES][WIDTH]; /* the last warnings, a ring */
static unsigned int line_count;
static FILE *relocations;
static char *relocated;
static size_t relocated_size;

static void keep(const char *text)
{
	while (*text) {
		size_t length = strcspn(text, "\n");
		const char *line = text;

		text += length + (text[length] == '\n');
		if (!strncmp(line, PREFIX, strlen(PREFIX))) {
			line += strlen(PREFIX);
			length -= strlen(PREFIX);
		}
		if (length && strncmp(line, "failed to load object '", 23)) /* says nothing new */
			snprintf(lines[line_count++ % LINES], WIDTH, "%.*s", (int)(length < WIDTH ? length : WIDTH - 1), line);
	}
}

const char *words_last(void)
{
	static char joined[LINES * (WIDTH + 3)];
	unsigned int first = line_count > LINES ? line_count - LINES : 0;
	size_t used = 0;

	joined[0] = '\0';
	for (; first < line_count; first++)
		used += snprintf(joined + used, sizeof(joined) - used, "%s%s", used ? " | " : "", lines[first % LINES]);
	return joined;
}

const char *words_relocations(void)
{
	if (!relocations)
		return "";
	fflush(relocations);
	return relocated;
}

void words_begin(void)
{
	free(words.log);
	words = (struct words){0};
	line_count = 0;
	if (relocations)
		fclose(relocations);
	free(relocated);
	relocations = open_memstream(&relocated, &relocated_size);
}

static bool is_plain(const char *name)
{
	for (; *name; name++)
		if (*name < 0x20 || *name > 0x7e || *name == '"' || *name == '\\')
			return false;
	return true;
}

/* libbpf tells what it relocates in debug lines: first the record's kind, then what became of the instruction. */
static void relocation(const char *text)
{
	static char kind[64];
	char program[256];
	const char *what, *values;
	unsigned int insn;
	long long local, target;

	what = strstr(text, ": relo #");
	what = what ? strstr(what + 2, ": ") : NULL;
	if (!what || sscanf(text, PREFIX "prog '%255[^']'", program) != 1 || !is_plain(program))
		return;
	what += 2;
	if (sscanf(what, "<%63[a-z0-9_]>", kind) == 1)
		return;
	if (sscanf(what, "patched insn #%u", &insn) == 1) {
		values = strstr(what, " -> ");
		while (values && values > what && values[-1] != ' ')
			values--;
		if (values && sscanf(values, "%lld -> %lld", &local, &target) == 2)
			fprintf(relocations,
				"{\"event\":\"relocation\",\"program\":\"%s\",\"insn\":%u,\"kind\":\"%s\",\"local\":%lld,"
				"\"target\":%lld,\"outcome\":\"patched\",\"message\":\"\"}\n",
				program, insn, kind, local, target);
	} else if (sscanf(what, "substituting insn #%u w/ invalid insn", &insn) == 1) {
		fprintf(relocations,
			"{\"event\":\"relocation\",\"program\":\"%s\",\"insn\":%u,\"kind\":\"%s\",\"local\":null,"
			"\"target\":null,\"outcome\":\"poisoned\",\"message\":\"\"}\n",
			program, insn, kind);
	}
}

static int print(enum libbpf_print_level level, const char *format, va_list args)
{
	char text[4096];
	const char *found;

	if (level > LIBBPF_WARN) {
		if (!strncmp(format, PREFIX "prog '%s': relo #%d: ", strlen(PREFIX "prog '%s': relo #%d: "))) {
			vsnprintf(text, sizeof(text), format, args);
			relocation(text);
		}
		return 0;
	}
	if (strstr(format, "BEGIN PROG LOAD LOG")) {
		va_arg(args, const char *); /* the program's name */
		free(words.log);
		words.log = strdup(va_arg(args, const char *));
		return 0;
	}
	vsnprintf(text, sizeof(text), format, args);
	keep(text);
	if (strstr(text, "BPF program load failed"))
		words.kernel_refused = true;
	if (strstr(text, "failed to initialize slot") && strstr(text, "to prog"))
		words.slot_failed = true;
	found = strstr(text, "': failed to create");
	if (found && !strncmp(text, PREFIX "map '", strlen(PREFIX "map '")))
		snprintf(words.refused_map, sizeof(words.refused_map), "%.*s", (int)(found - text - strlen(PREFIX "map '")),
			 text + strlen(PREFIX "map '"));
	return 0;
}

void words_listen(void)
{
	words_begin();
	libbpf_set_print(print);
}
