// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A helper that 5.10 lacks (bpf_ktime_get_coarse_ns, in 5.11), guarded by its number's existence in the kernel's enum
 * bpf_func_id; and unguarded in a program that such a kernel must refuse.
 */
#include <everykernel.h>

#include <bpf/bpf_core_read.h>

__u32 exists;
__u64 coarse;
__u64 unguarded_coarse;

SEC("socket")
int guarded(struct __sk_buff *skb)
{
	exists = bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_ktime_get_coarse_ns);
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_ktime_get_coarse_ns))
		coarse = bpf_ktime_get_coarse_ns();
	EK_HIT();
	return 0;
}

SEC("socket")
int unguarded(struct __sk_buff *skb)
{
	/* tells, and guards nothing */
	EK_ASSERT(bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_ktime_get_coarse_ns));
	unguarded_coarse = bpf_ktime_get_coarse_ns();
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
