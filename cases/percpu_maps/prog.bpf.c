// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* One value a processor, in an array and in a hash. Needs no relocation. */
#include <everykernel.h>

struct count {
	__u64 calls;
	__u32 cpu;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct count);
} in_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, __u64);
} in_hash SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getpgid")
int on_getpgid(struct ek_sys_enter *ctx)
{
	__u64 key = (ek_ulong)ctx->args[0], *calls, one = 1;
	__u32 zero = 0;
	struct count *count;

	if (!EK_MINE())
		return 0;
	count = bpf_map_lookup_elem(&in_array, &zero);
	EK_ASSERT(count);
	if (count) {
		count->calls++;
		count->cpu = bpf_get_smp_processor_id();
	}
	calls = bpf_map_lookup_elem(&in_hash, &key);
	if (calls)
		(*calls)++;
	else
		EK_ASSERT(bpf_map_update_elem(&in_hash, &key, &one, BPF_NOEXIST) == 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
