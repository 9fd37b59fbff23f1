// A static tool without a C library: makes a map named "bare" by bpf(2), and tells by its exit code how that went.
// System calls are those of i386, by int 0x80: arch/x86/entry/syscalls/syscall_32.tbl.

enum { SYS_exit = 1, SYS_bpf = 357 };
enum { BPF_MAP_CREATE = 0, BPF_MAP_TYPE_ARRAY = 2 };

struct map_create {
	unsigned int type, key_size, value_size, max_entries, flags, inner, node;
	char name[16];
};

static long call(long number, long first, const void *second, long third)
{
	long result;

	asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory");
	return result;
}

void _start(void)
{
	struct map_create attribute = {
		.type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 3, .name = "bare",
	};
	long made = call(SYS_bpf, BPF_MAP_CREATE, &attribute, sizeof(attribute));

	call(SYS_exit, made < 0 ? 1 : 0, 0, 0);
	__builtin_unreachable();
}
