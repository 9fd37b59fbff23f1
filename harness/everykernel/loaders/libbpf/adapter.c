// SPDX-License-Identifier: Apache-2.0
/* Load an object with libbpf as the adapter contract has it: `adapter REQUEST.json`, events on standard output.
 *
 * The object is opened; its maps are created, without any program; it is opened once for each of its programs, which is
 * the only one that is loaded; and it is loaded as a whole, all or nothing. libbpf gives up on a whole object for one map
 * that the kernel refuses. Programs are judged on their own merits, so such a map is left out for them
 * (bpf_map__set_autocreate): libbpf puts an invalid call in the place of each use, by which those that use it are told.
 *
 * Each of these is done in a process of its own, which libbpf may crash.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "object.h"
#include "request.h"
#include "say.h"
#include "words.h"

static struct request request;

/* What outlives a process that libbpf crashed. */
static struct {
	struct left_out out;
	bool opened;
	int position; /* of the program that is being tried */
	char program[512], section[512], type[64];
} *shared;

/* The kernel's BTF is parsed once, by libbpf, for all of an object's programs: an emulated machine takes its time. */
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

static void say_verdict(const char *event, int err, const char *message)
{
	say_begin(event);
	say_text("status", err ? "failed" : "passed");
	say_errno(err);
	say_text("message", err ? message : "");
	say_end();
}

/* ------------------------------------------------------------------------------------------------- what is asked */

static void opened(void)
{
	struct bpf_object *obj = open_object(&request);
	int err = obj ? 0 : errno;

	shared->opened = obj != NULL;
	say_verdict("object", err, words_last());
}

static void say_map(struct bpf_map *map, const char *status, int err, const char *message)
{
	say_begin("map");
	say_text("name", bpf_map__name(map));
	say_text("type", libbpf_bpf_map_type_str(bpf_map__type(map)) ?: "unknown");
	say_number("key_size", bpf_map__key_size(map));
	say_number("value_size", bpf_map__value_size(map));
	say_number("max_entries", bpf_map__max_entries(map));
	say_text("status", status);
	say_errno(err);
	say_text("message", message);
	say_end();
}

/* Create the maps, one attempt more for each that the kernel refuses. */
static void maps(void)
{
	struct left_out *out = &shared->out;
	struct bpf_object *obj;
	struct bpf_map *map;
	int err;

	for (;;) {
		words_begin();
		obj = open_object(&request);
		if (!obj)
			return;
		prepare_maps(obj, &request, out);
		choose(obj, -1);
		err = -bpf_object__load(obj);
		if (!err || !words.refused_map[0] || out->count == LEFT_OUT || left_out_as(out, words.refused_map) >= 0)
			break;
		snprintf(out->maps[out->count].name, sizeof(out->maps[0].name), "%s", words.refused_map);
		snprintf(out->maps[out->count].words, sizeof(out->maps[0].words), "%s", words_last());
		out->maps[out->count++].err = err;
		close_object(obj);
	}
	bpf_object__for_each_map(map, obj) {
		int refused = left_out_as(out, bpf_map__name(map));

		if (refused >= 0)
			say_map(map, "failed", out->maps[refused].err, out->maps[refused].words);
		else if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			say_map(map, "skipped", 0, "created with its programs");
		else
			say_map(map, err ? "skipped" : "passed", 0, err ? words_last() : "");
	}
}

static long long verified(struct bpf_program *prog)
{
	struct bpf_prog_info info = {0};
	__u32 size = sizeof(info);

	if (bpf_program__fd(prog) < 0 || bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &size))
		return 0;
	return info.verified_insns; /* 0 where the kernel does not count */
}

static void say_program(int err, const char *by, const char *message, long long insns)
{
	say_begin("program");
	say_text("name", shared->program);
	say_text("section", shared->section);
	say_text("type", shared->type);
	say_text("status", err ? "failed" : "passed");
	say_errno(err);
	say_text("message", err ? message : "");
	say_text("by", err ? by : "");
	say_text("log", err && words.log ? words.log : "");
	if (insns)
		say_number("verified_insns", insns);
	else
		say_null("verified_insns");
	say_end();
}

static void note_program(struct bpf_program *prog)
{
	const char *type = libbpf_bpf_prog_type_str(bpf_program__type(prog));

	snprintf(shared->program, sizeof(shared->program), "%s", bpf_program__name(prog));
	snprintf(shared->section, sizeof(shared->section), "%s", bpf_program__section_name(prog));
	snprintf(shared->type, sizeof(shared->type), "%s", type ?: "unknown");
}

/* Load the program at the position alone. */
static void load_one(struct bpf_object *obj, struct bpf_program *prog)
{
	const char *by;
	int err, refused;

	prepare_maps(obj, &request, &shared->out);
	err = -bpf_object__load(obj);
	if (words.slot_failed)
		err = 0; /* it was loaded; then a program that was not should have gone into a prog_array */
	else if (!err && bpf_program__fd(prog) < 0)
		err = EBADF; /* left alone: a struct_ops program whose map was left out */
	by = words.kernel_refused ? "kernel" : words.refused_map[0] ? "map" : "loader";
	refused = refused_for(obj, prog, &shared->out);
	say_raw(words_relocations());
	if (refused >= 0)
		say_program(shared->out.maps[refused].err, "map", shared->out.maps[refused].words, 0);
	else
		say_program(err, by, words_last(), verified(prog));
}

static void programs(void)
{
	for (;; shared->position++) {
		struct bpf_object *obj;
		struct bpf_program *prog;

		shared->program[0] = '\0';
		words_begin();
		obj = open_object(&request);
		prog = obj ? choose(obj, shared->position) : NULL;
		if (prog) {
			note_program(prog);
			if (is_wanted(&request, shared->program))
				load_one(obj, prog);
		}
		close_object(obj);
		if (!prog)
			return;
	}
}

static void whole(void)
{
	struct bpf_object *obj = open_object(&request);
	const struct left_out nothing = {0};
	int err = obj ? 0 : errno;

	if (obj) {
		prepare_maps(obj, &request, &nothing);
		err = -bpf_object__load(obj);
	}
	say_verdict("whole", err, words_last());
}

/* ---------------------------------------------------------------------------------------------------------- apart */

/* Do it in a process of its own; return the signal that ended it, 0 for none. */
static int apart(void (*action)(void))
{
	int status = 0;
	pid_t child;

	fflush(stdout);
	words_begin();
	child = fork();
	if (child == 0) {
		action();
		fflush(stdout);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		_exit(3);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static const char *crash(int signal)
{
	static char text[64];

	snprintf(text, sizeof(text), "libbpf crashed with signal %d", signal);
	return text;
}

static void say_crash(const char *event, int signal)
{
	say_begin(event);
	say_text("status", "failed");
	say_null("errno");
	say_text("message", crash(signal));
	say_end();
}

static void load(void)
{
	int signal = apart(opened);

	if (signal)
		say_crash("object", signal);
	if (shared->opened) {
		apart(maps);
		while ((signal = apart(programs))) {
			if (!shared->program[0])
				break; /* before it came to one: it would again */
			say_begin("program");
			say_text("name", shared->program);
			say_text("section", shared->section);
			say_text("type", shared->type);
			say_text("status", "failed");
			say_null("errno");
			say_text("message", crash(signal));
			say_text("by", "loader");
			say_text("log", "");
			say_null("verified_insns");
			say_end();
			shared->position++;
		}
	}
	signal = apart(whole);
	if (signal)
		say_crash("whole", signal);
}

int main(int argc, char **argv)
{
	const char *wrong = argc == 2 ? read_request(argv[1], &request) : "usage: adapter REQUEST.json";

	if (wrong) {
		fprintf(stderr, "adapter: %s\n", wrong);
		return 2;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 3;
	printf("{\"event\":\"loader\",\"name\":\"libbpf\",\"version\":\"%d.%d.%d\",\"detail\":{\"compiler\":\"%s\"}}\n",
	       libbpf_major_version(), libbpf_minor_version(), 0, __VERSION__);
	fflush(stdout);
	words_listen();
	if (!request.btf)
		kernel_btf = __real_btf__load_vmlinux_btf();
	load();
	printf("{\"event\":\"end\"}\n");
	return 0;
}
