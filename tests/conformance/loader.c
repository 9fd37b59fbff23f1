// SPDX-License-Identifier: Apache-2.0
/* Load objects with libbpf, as a whole and one program at a time: the reference that our loader is compared with.
 *
 *     loader [--attach] OBJECT… | loader --sections [NAME…] | loader --version
 *
 * Each object is first loaded as a whole, all or nothing; then it is opened once for each of its programs, which is the
 * only one that is loaded. Where the object leaves sizes to the tool that loads it, the rules are those of our loader: a
 * map that needs entries and has none gets one, a perf event array one a CPU, a stack trace map the deepest stack.
 * Nothing is pinned.
 *
 * libbpf gives up on a whole object for one map that the kernel refuses. Programs are judged on their own merits here,
 * so such a map is left out (bpf_map__set_autocreate) and the program tried again: libbpf puts an invalid call in the
 * place of each use, and a program that has none of these does not use the map.
 *
 * Prints lines of fields separated by tabs:
 *     object PATH
 *     whole ERRNO WHO                     the object as a whole, WHO decided: loaded, open, kernel, map, libbpf
 *     open ERRNO                          libbpf does not open it
 *     map NAME ERRNO                      the kernel refuses this map
 *     program NAME SECTION ERRNO WHO      WHO decided: loaded, kernel, map (one that the kernel refuses), libbpf
 *     attach NAME ERRNO                   with --attach: the program that was loaded, to what its section names
 *     log TEXT                            libbpf's last warnings, before the line that they belong to
 *     crashed SIGNAL                      libbpf ended this process
 * --sections prints all names of libbpf's own table, then for each name asked for:
 *     names NAME…
 *     section NAME ERRNO TYPE EXPECTED_ATTACH_TYPE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "isoc23.h"

#define LINES 10
#define WIDTH 512
#define MAPS 32
#define POISON_MAP 2001000000 /* POISON_LDIMM64_MAP_BASE of libbpf.c: the call that stands for a map left out */
#define POISON_MAPS 1000000
#define DEEPEST_STACK 127 /* PERF_MAX_STACK_DEPTH: /proc/sys/kernel/perf_event_max_stack, unless somebody writes it */
#define CGRP_STORAGE 32 /* BPF_MAP_TYPE_CGRP_STORAGE: newer than the oldest headers that this builds with */

static char lines[LINES][WIDTH]; /* the last warnings, a ring */
static unsigned int line_count;
static bool kernel_refused, slot_failed, attaching;
static char refused_map[WIDTH]; /* the map that this attempt failed at */

/* The kernel's BTF is parsed once, by libbpf, for all objects: an emulated machine takes its time for it. */
static struct btf *kernel_btf;

struct btf *__real_btf__load_vmlinux_btf(void);
struct btf *__wrap_btf__load_vmlinux_btf(void)
{
	if (!kernel_btf)
		kernel_btf = __real_btf__load_vmlinux_btf();
	return kernel_btf;
}

void __real_btf__free(struct btf *btf);
void __wrap_btf__free(struct btf *btf)
{
	if (btf != kernel_btf)
		__real_btf__free(btf);
}

static void keep(const char *text, size_t length)
{
	char *line = lines[line_count++ % LINES];

	snprintf(line, WIDTH, "%.*s", (int)(length < WIDTH ? length : WIDTH - 1), text);
	for (; *line; line++)
		if (*line == '\t' || *line == '\r')
			*line = ' ';
}

/* Keep the last lines of a text. */
static void keep_lines(const char *text, int most)
{
	const char *start = text + strlen(text);

	while (start > text && most > 0)
		if (*--start == '\n' && start[1])
			most--;
	while (*start) {
		size_t length = strcspn(start, "\n");

		if (length)
			keep(start, length);
		start += length + (start[length] == '\n');
	}
}

static int print(enum libbpf_print_level level, const char *format, va_list args)
{
	char text[4096];
	const char *found;

	if (level > LIBBPF_WARN)
		return 0;
	if (strstr(format, "BEGIN PROG LOAD LOG")) {
		va_arg(args, const char *); /* the program's name */
		keep_lines(va_arg(args, const char *), 4);
		return 0;
	}
	vsnprintf(text, sizeof(text), format, args);
	keep_lines(text, LINES);
	if (strstr(text, "BPF program load failed"))
		kernel_refused = true;
	if (strstr(text, "failed to initialize slot") && strstr(text, "to prog"))
		slot_failed = true;
	found = strstr(text, "': failed to create");
	if (found && !strncmp(text, "libbpf: map '", 13))
		snprintf(refused_map, sizeof(refused_map), "%.*s", (int)(found - text - 13), text + 13);
	return 0;
}

static void print_lines(void)
{
	unsigned int first = line_count > LINES ? line_count - LINES : 0;

	for (; first < line_count; first++)
		printf("log\t%s\n", lines[first % LINES]);
}

static bool needs_entries(enum bpf_map_type type)
{
	switch ((int)type) {
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY: /* libbpf itself gives it one a CPU */
	case BPF_MAP_TYPE_CGROUP_STORAGE:
	case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
	case BPF_MAP_TYPE_SK_STORAGE:
	case BPF_MAP_TYPE_INODE_STORAGE:
	case BPF_MAP_TYPE_TASK_STORAGE:
	case CGRP_STORAGE:
	case BPF_MAP_TYPE_STRUCT_OPS:
		return false;
	default:
		return true;
	}
}

static int inner_fds[MAPS], inner_count; /* of the object that is open: libbpf leaves them to us */

/* libbpf cannot resize an inner map (bpf_map__set_max_entries crashes on one): hand it one of the right size. */
static void size_inner(struct bpf_map *map, const struct bpf_map *inner)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = bpf_map__map_flags(inner), .map_extra = bpf_map__map_extra(inner));
	enum bpf_map_type type = bpf_map__type(inner);
	bool ring = type == BPF_MAP_TYPE_RINGBUF || type == BPF_MAP_TYPE_USER_RINGBUF;
	int fd = bpf_map_create(type, NULL, bpf_map__key_size(inner), bpf_map__value_size(inner),
				ring ? (unsigned int)sysconf(_SC_PAGESIZE) : 1, &opts);

	if (fd >= 0 && inner_count < MAPS && !bpf_map__set_inner_map_fd(map, fd))
		inner_fds[inner_count++] = fd;
	else if (fd >= 0)
		close(fd);
}

static void close_object(struct bpf_object *obj)
{
	bpf_object__close(obj);
	while (inner_count)
		close(inner_fds[--inner_count]);
}

static void size_map(struct bpf_map *map)
{
	const struct bpf_map *inner = bpf_map__inner_map(map);

	if (!bpf_map__max_entries(map) && needs_entries(bpf_map__type(map)))
		bpf_map__set_max_entries(map, 1);
	if (bpf_map__type(map) == BPF_MAP_TYPE_STACK_TRACE && !bpf_map__value_size(map))
		bpf_map__set_value_size(map, 8 * DEEPEST_STACK);
	if (inner && !bpf_map__max_entries(inner) && needs_entries(bpf_map__type(inner)))
		size_inner(map, inner);
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

/* A map that the kernel refused, and is left out. */
struct left_out {
	char name[WIDTH];
	int err;
};

static bool is_left_out(const struct left_out *maps, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(maps[i].name, name))
			return true;
	return false;
}

static void prepare(struct bpf_object *obj, struct bpf_program *chosen, const struct left_out *maps, int count)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		size_map(map);
		bpf_map__set_pin_path(map, NULL);
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			bpf_map__set_autocreate(map, clear_struct_ops(obj, map, chosen));
		if (is_left_out(maps, count, bpf_map__name(map)))
			bpf_map__set_autocreate(map, false);
	}
}

/* Return what the kernel said of the first map that the program uses and that is left out, 0 if it uses none. */
static int refused_for(struct bpf_object *obj, struct bpf_program *prog, const struct left_out *maps, int count)
{
	const struct bpf_insn *insns = bpf_program__insns(prog);
	struct bpf_map *map;

	for (size_t i = 0; i < bpf_program__insn_cnt(prog); i++) {
		int index = 0, wanted = insns[i].imm - POISON_MAP;

		if (insns[i].code != (BPF_JMP | BPF_CALL) || wanted < 0 || wanted >= POISON_MAPS)
			continue;
		bpf_object__for_each_map(map, obj)
			if (index++ == wanted)
				for (int k = 0; k < count; k++)
					if (!strcmp(maps[k].name, bpf_map__name(map)))
						return maps[k].err;
	}
	bpf_object__for_each_map(map, obj)
		for (int k = 0; k < count; k++)
			if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS && !strcmp(maps[k].name, bpf_map__name(map)) &&
			    clear_struct_ops(obj, map, prog))
				return maps[k].err;
	return 0;
}

static void begin(void)
{
	line_count = 0;
	kernel_refused = slot_failed = false;
	refused_map[0] = '\0';
}

/* Load all that the object asks for, or nothing. */
static void whole(const char *path)
{
	struct bpf_object *obj;
	struct bpf_map *map;
	const char *who;
	int err;

	begin();
	obj = bpf_object__open_file(path, NULL);
	if (!obj) {
		err = errno;
		print_lines();
		printf("whole\t%d\topen\n", err);
		return;
	}
	bpf_object__for_each_map(map, obj) {
		size_map(map);
		bpf_map__set_pin_path(map, NULL);
	}
	err = -bpf_object__load(obj);
	if (!err)
		who = "loaded";
	else if (refused_map[0])
		who = "map";
	else
		who = kernel_refused ? "kernel" : "libbpf";
	print_lines();
	printf("whole\t%d\t%s\n", err, who);
	close_object(obj);
}

static struct bpf_program *choose(struct bpf_object *obj, int position)
{
	struct bpf_program *prog, *chosen = NULL;
	int at = 0;

	bpf_object__for_each_program(prog, obj) {
		bpf_program__set_autoload(prog, at == position);
		if (at++ == position)
			chosen = prog;
	}
	return chosen;
}

/* Attach a program by what libbpf makes of its section; EOPNOTSUPP where it makes nothing of it. */
static void attach(struct bpf_program *prog)
{
	struct bpf_link *link = bpf_program__attach(prog);

	printf("attach\t%s\t%d\n", bpf_program__name(prog), link ? 0 : errno);
	bpf_link__destroy(link);
}

/* Load the program at this position alone; return 0 past the last. */
static int one(const char *path, int position)
{
	static struct left_out maps[MAPS]; /* of this object: a process has one */
	static int count;

	if (count && maps[count - 1].err == ENOMEM) /* may be there again by now */
		count = 0;
	for (;;) {
		struct bpf_object *obj;
		struct bpf_program *chosen;
		const char *who;
		int err, map_err;

		begin();
		obj = bpf_object__open_file(path, NULL);
		if (!obj) {
			err = errno;
			print_lines();
			printf("open\t%d\n", err);
			return 0;
		}
		chosen = choose(obj, position);
		if (!chosen) {
			close_object(obj);
			return 0;
		}
		prepare(obj, chosen, maps, count);
		err = -bpf_object__load(obj);
		if (err && refused_map[0] && count < MAPS && !is_left_out(maps, count, refused_map)) {
			snprintf(maps[count].name, WIDTH, "%s", refused_map);
			maps[count++].err = err;
			close_object(obj);
			continue;
		}
		if (slot_failed)
			err = 0; /* it was loaded; then a program that was not should have gone into a prog_array */
		else if (!err && bpf_program__fd(chosen) < 0)
			err = EBADF; /* left alone: a struct_ops program whose map was left out */
		if (kernel_refused)
			who = "kernel";
		else
			who = err ? "libbpf" : "loaded";
		map_err = refused_for(obj, chosen, maps, count);
		if (map_err) {
			who = "map";
			err = map_err;
		}
		print_lines();
		for (int i = 0; i < count; i++)
			printf("map\t%s\t%d\n", maps[i].name, maps[i].err);
		printf("program\t%s\t%s\t%d\t%s\n", bpf_program__name(chosen), bpf_program__section_name(chosen), err, who);
		if (attaching && !err)
			attach(chosen);
		close_object(obj);
		return 1;
	}
}

static void programs(const char *path)
{
	for (int position = 0; one(path, position); position++)
		fflush(stdout);
}

/* Do it in a process of its own, which libbpf may crash. */
static void apart(void (*action)(const char *path), const char *path)
{
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		action(path);
		fflush(stdout);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status))
		printf("crashed\t%d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void object(const char *path)
{
	printf("object\t%s\n", path);
	if (!attaching)
		apart(whole, path);
	apart(programs, path);
}

/* libbpf answers an unknown name with its table's names in a debug line. */
static int print_names(enum libbpf_print_level level, const char *format, va_list args)
{
	char text[8192], *names;

	(void)level;
	vsnprintf(text, sizeof(text), format, args);
	names = strstr(text, "supported section(type) names are:");
	if (names)
		printf("names\t%s", strchr(names, ':') + 1);
	return 0;
}

static void list_sections(void)
{
	enum bpf_prog_type type;
	enum bpf_attach_type attach;

	libbpf_set_print(print_names);
	libbpf_prog_type_by_name("?", &type, &attach);
	libbpf_set_print(NULL);
}

static void section(const char *name)
{
	enum bpf_prog_type type = BPF_PROG_TYPE_UNSPEC;
	enum bpf_attach_type attach = 0;
	int err = libbpf_prog_type_by_name(name, &type, &attach);

	printf("section\t%s\t%d\t%d\t%d\n", name, -err, err ? 0 : type, err ? 0 : attach);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		printf("libbpf %s\n", libbpf_version_string());
		return 0;
	}
	if (argc < 2) {
		fprintf(stderr, "usage: loader [--attach] OBJECT… | loader --sections [NAME…] | loader --version\n");
		return 2;
	}
	libbpf_set_print(print);
	if (!strcmp(argv[1], "--sections")) {
		list_sections();
		for (int i = 2; i < argc; i++)
			section(argv[i]);
		return 0;
	}
	kernel_btf = __real_btf__load_vmlinux_btf();
	attaching = !strcmp(argv[1], "--attach");
	for (int i = 1 + attaching; i < argc; i++)
		object(argv[i]);
	return 0;
}
