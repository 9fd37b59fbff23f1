// Counts calls of getpgid: no CO-RE, so that it loads where the kernel has no BTF.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, __u64);
} counts SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getpgid")
int count(void *ctx)
{
    __u32 key = 0;
    __u64 one = 1, *seen = bpf_map_lookup_elem(&counts, &key);

    if (seen)
        __sync_fetch_and_add(seen, 1);
    else
        bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
