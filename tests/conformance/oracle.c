// SPDX-License-Identifier: Apache-2.0
/* Ask libbpf how it relocates an object, without loading anything.
 *
 *     oracle OBJECT BTF KALLSYMS CONFIG [MODULE…]
 *
 * With the BTFs of modules, BTF is not supplied to libbpf but read by it as the kernel's own: it then enumerates modules.
 * libbpf relocates OBJECT against BTF, one program autoloaded at a time, up to the point where it would hand the program
 * to the kernel; with ORACLE_TOGETHER all that the object asks for at once. bpf(2) never reaches the kernel: the linker's --wrap=syscall brings each call here, and this program
 * answers it as a kernel that takes everything. Reads of /sys/kernel/btf/vmlinux get BTF too, those of /proc/kallsyms
 * KALLSYMS and those of the kernel's configuration CONFIG, so that attach targets, symbols and options are looked up in the
 * target and not on the host.
 *
 * ORACLE_UNKNOWN holds numbers of BTF kinds that the pretended kernel does not take (100: global functions; 101: section
 * names with a question mark); the BTF that it takes last is written to the file ORACLE_BTF. ORACLE_LEFT_OUT names a map
 * that is not created.
 *
 * Prints one line of text a program, fields separated by tabs:
 *     program NAME SECTION ERRNO HEX      HEX is the instructions after relocation, linking included ("-" after an error)
 * (with ORACLE_TOGETHER once more a program, all with the errno of the whole)
 * preceded by libbpf's own debug lines, each as: log TEXT. An object that cannot be opened gives: open ERRNO.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/btf.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "isoc23.h"

#define ARENA 33 /* BPF_MAP_TYPE_ARENA: newer than the oldest headers that this builds with; its entries are pages */

static const char *target, *symbols, *config;

static char **modules; /* files; module N has BTF id N + 2, vmlinux has 1 */
static int module_count;

static int a_file(size_t size)
{
	int fd = memfd_create("oracle", MFD_CLOEXEC);

	if (fd >= 0 && size && ftruncate(fd, (off_t)size)) {
		close(fd);
		return -1;
	}
	return fd;
}

static long refuse(int error)
{
	errno = error;
	return -1;
}

/* Hand out the BTF of a module, as the kernel's BPF_OBJ_GET_INFO_BY_FD does. */
static long describe(unsigned int id, struct bpf_btf_info *info)
{
	const char *name = "vmlinux";
	void *buffer = (void *)(unsigned long)info->btf;
	unsigned int size = info->btf_size;

	info->id = id;
	info->kernel_btf = 1;
	info->btf_size = 0;
	if (id > 1) {
		const char *slash = strrchr(modules[id - 2], '/');
		FILE *file = fopen(modules[id - 2], "rb");

		if (!file)
			return refuse(ENOENT);
		name = slash ? slash + 1 : modules[id - 2];
		if (buffer && fread(buffer, 1, size, file) == 0)
			name = "empty";
		fseek(file, 0, SEEK_END);
		info->btf_size = (unsigned int)ftell(file);
		fclose(file);
	}
	if (info->name)
		snprintf((char *)(unsigned long)info->name, info->name_len, "%s", name);
	return 0;
}

static int unknown(unsigned int kind)
{
	const char *list = getenv("ORACLE_UNKNOWN");
	char copy[256];

	snprintf(copy, sizeof(copy), "%s", list ? list : "");
	for (char *at = strtok(copy, ","); at; at = strtok(NULL, ","))
		if ((unsigned int)atoi(at) == kind)
			return 1;
	return 0;
}

/* Take or refuse a BTF as a kernel would that knows some kinds only. */
static long take(const void *data, unsigned int size)
{
	const struct btf_header *header = data;
	const char *strings = (const char *)data + header->hdr_len + header->str_off;
	const char *path = getenv("ORACLE_BTF");
	struct btf *btf = btf__new(data, size);
	FILE *file;

	if (!btf)
		return refuse(EINVAL);
	for (unsigned int id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		unsigned int kind = BTF_INFO_KIND(type->info);

		if (unknown(kind) || (kind == BTF_KIND_ENUM && type->info >> 31 && unknown(BTF_KIND_ENUM64)) ||
		    (kind == BTF_KIND_FUNC && BTF_INFO_VLEN(type->info) && unknown(100)) ||
		    (kind == BTF_KIND_DATASEC && strings[type->name_off] == '?' && unknown(101))) {
			btf__free(btf);
			return refuse(EINVAL);
		}
	}
	btf__free(btf);
	if (path && (file = fopen(path, "wb"))) {
		fwrite(data, 1, size, file);
		fclose(file);
	}
	return a_file(0);
}

/* Modules' BTFs are handed out with numbers past all descriptors (a kernel has more modules than we may open files). */
#define BTF_FDS (1U << 24)

static long enumerate(int cmd, union bpf_attr *attr)
{
	unsigned int fd;

	switch (cmd) {
	case BPF_BTF_GET_NEXT_ID:
		if (attr->start_id > (unsigned int)module_count)
			return refuse(ENOENT);
		attr->next_id = attr->start_id + 1;
		return 0;
	case BPF_BTF_GET_FD_BY_ID:
		return BTF_FDS + attr->btf_id;
	default:
		fd = attr->info.bpf_fd;
		return fd > BTF_FDS ? describe(fd - BTF_FDS, (void *)(unsigned long)attr->info.info) : 0;
	}
}

static long answer(int cmd, union bpf_attr *attr)
{
	switch (cmd) {
	case BPF_MAP_CREATE: {
		size_t value = attr->map_type == ARENA ? 4096 : (attr->value_size + 7UL) & ~7UL;
		size_t size = (value * attr->max_entries + 4095) & ~4095UL;

		return a_file(size > (1UL << 30) ? 1UL << 30 : size); /* data sections and arenas are mapped from it */
	}
	case BPF_PROG_LOAD:
		return a_file(0);
	case BPF_BTF_LOAD:
		return take((const void *)(unsigned long)attr->btf, attr->btf_size);
	case BPF_MAP_UPDATE_ELEM:
	case BPF_MAP_FREEZE:
	case BPF_PROG_BIND_MAP:
		return 0;
	case BPF_BTF_GET_NEXT_ID:
	case BPF_BTF_GET_FD_BY_ID:
	case BPF_OBJ_GET_INFO_BY_FD:
		if (module_count)
			return enumerate(cmd, attr);
		return refuse(cmd == BPF_BTF_GET_NEXT_ID ? ENOENT : EINVAL);
	default:
		return refuse(EINVAL);
	}
}

long __real_syscall(long nr, ...);
long __wrap_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	if (nr == SYS_bpf)
		return answer((int)a, (union bpf_attr *)b);
	if (nr == SYS_perf_event_open)
		return refuse(ENOENT);
	return __real_syscall(nr, a, b, c, d, e, f);
}

static const char *redirect(const char *path)
{
	if (!strcmp(path, "/sys/kernel/btf/vmlinux"))
		return target;
	if (!strncmp(path, "/boot/config-", 13) || !strcmp(path, "/proc/config.gz"))
		return config;
	return strcmp(path, "/proc/kallsyms") ? path : symbols;
}

/* The pretended kernel has two CPUs, also where /sys is not mounted. */
static int open_cpus(void)
{
	int fd = a_file(0);

	return fd < 0 || write(fd, "0-1\n", 4) != 4 || lseek(fd, 0, SEEK_SET) ? -1 : fd;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, int mode)
{
	if (!strcmp(path, "/sys/devices/system/cpu/possible"))
		return open_cpus();
	return __real_open64(redirect(path), flags, mode);
}

FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode)
{
	return __real_fopen64(redirect(path), mode);
}

int __real_faccessat(int dir, const char *path, int mode, int flags);
int __wrap_faccessat(int dir, const char *path, int mode, int flags)
{
	return __real_faccessat(dir, redirect(path), mode, flags);
}

static int print(enum libbpf_print_level level, const char *format, va_list args)
{
	char text[4096];

	(void)level;
	vsnprintf(text, sizeof(text), format, args);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		printf("log\t%s\n", line);
	return 0;
}

static struct bpf_object *open_object(const char *path, const char *btf)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf);

	return bpf_object__open_file(path, &opts);
}

static void print_program(struct bpf_program *prog, int err)
{
	const unsigned char *code = (const unsigned char *)bpf_program__insns(prog);

	printf("program\t%s\t%s\t%d\t", bpf_program__name(prog), bpf_program__section_name(prog), -err);
	if (err)
		printf("-");
	for (size_t i = 0; !err && i < bpf_program__insn_cnt(prog) * sizeof(struct bpf_insn); i++)
		printf("%02x", code[i]);
	printf("\n");
}

/* Relocate all programs that the object wants to be loaded. */
static void together(struct bpf_object *obj)
{
	struct bpf_program *prog;
	struct bpf_map *map;
	int err;

	bpf_object__for_each_map(map, obj)
		bpf_map__set_pin_path(map, NULL);
	err = bpf_object__prepare(obj);
	bpf_object__for_each_program(prog, obj)
		if (bpf_program__autoload(prog))
			print_program(prog, err);
}

/* Relocate the program at this position alone; return 0 past the last. */
static int one(const char *path, const char *btf, int position)
{
	struct bpf_object *obj = open_object(path, btf);
	struct bpf_program *prog, *chosen = NULL;
	struct bpf_map *map;
	const char *left_out = getenv("ORACLE_LEFT_OUT");
	int at = 0, err;

	if (!obj) {
		printf("open\t%d\n", errno);
		return 0;
	}
	if (getenv("ORACLE_TOGETHER")) {
		together(obj);
		bpf_object__close(obj);
		return 0;
	}
	bpf_object__for_each_program(prog, obj) {
		bpf_program__set_autoload(prog, at == position);
		if (at++ == position)
			chosen = prog;
	}
	if (!chosen) {
		bpf_object__close(obj);
		return 0;
	}
	bpf_object__for_each_map(map, obj) {
		bpf_map__set_pin_path(map, NULL); /* nothing is looked for in the host's bpffs */
		if (left_out && !strcmp(bpf_map__name(map), left_out))
			bpf_map__set_autocreate(map, false);
	}
	err = bpf_object__prepare(obj);
	print_program(chosen, err);
	bpf_object__close(obj);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		printf("libbpf %s\n", libbpf_version_string());
		return 0;
	}
	if (argc < 5) {
		fprintf(stderr, "usage: oracle OBJECT BTF KALLSYMS CONFIG [MODULE…] | oracle --version\n");
		return 2;
	}
	target = argv[2];
	symbols = argv[3];
	config = argv[4];
	modules = argv + 5;
	module_count = argc - 5;
	libbpf_set_print(print);
	for (int position = 0; one(argv[1], module_count ? NULL : argv[2], position); position++)
		;
	return 0;
}
