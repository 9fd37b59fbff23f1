// What kernels refuse each in their own words: a pointer that may be NULL, a pointer as an argument of a global function.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct input {
	int op;
	long arg;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, long);
} table SEC(".maps");

long out;

__attribute__((noinline)) int eval(struct input *input)
{
	if (!input)
		return -1;
	return input->op == 3 ? (int)input->arg + 7 : 11 - input->op;
}

SEC("socket")
int calls_global(void *ctx)
{
	struct input input = {.op = bpf_get_smp_processor_id(), .arg = bpf_ktime_get_ns()};

	out = eval(&input);
	return 0;
}

SEC("socket")
int null_deref(void *ctx)
{
	int key = 0;
	long *value = bpf_map_lookup_elem(&table, &key);

	return *value;
}

char _license[] SEC("license") = "GPL";
